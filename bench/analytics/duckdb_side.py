"""DuckDB over a Portgate folder, question by question, timed.

duckdb_side.py FOLDER THREADS: reads questions as JSON strings, one a line; answers each with a line
{"seconds", "rows"}: planning, running and keeping every row in memory, in columns, as the other side
does; made into Python's objects they would take longer than many a question.
"""

import json
import sys
import time

import duckdb

folder, threads = sys.argv[1], int(sys.argv[2])
con = duckdb.connect()
con.execute(f"SET threads = {threads}; SET TimeZone = 'Asia/Shanghai'; SET enable_progress_bar = false")
for table in ["decisions", "reasons", "passages", "arrivals", "guard_actions", "violations", "queue_samples"]:
    con.execute(f"CREATE VIEW {table} AS FROM read_parquet('{folder}/{table}/*/*.parquet', hive_partitioning = false)")
# Footers are kept between questions, as the other side keeps them.
con.execute("SET parquet_metadata_cache = true")
print(json.dumps({"version": duckdb.__version__}), flush=True)
for line in sys.stdin:
    question = json.loads(line).strip().rstrip(";")
    started = time.perf_counter()
    con.execute(f"CREATE OR REPLACE TEMP TABLE answer AS {question}")
    seconds = time.perf_counter() - started
    rows = con.execute("SELECT count(*) FROM answer").fetchone()[0]
    print(json.dumps({"seconds": seconds, "rows": rows}), flush=True)
