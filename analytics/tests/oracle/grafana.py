"""Asks what Grafana's PostgreSQL source asks, over the extended protocol, and prints the answers.

grafana.py PORT USER SECRET: reads questions separated by lines of dashes; a JSON line each.
"""

import json
import sys

import pg8000.native

port, user, secret = sys.argv[1:]
con = pg8000.native.Connection(user, host="127.0.0.1", port=int(port), password=secret, database="portgate")
for sql in sys.stdin.read().split("\n----\n"):
    try:
        # The driver parses, binds, describes and executes: the extended protocol.
        statement = con.prepare(sql)
        rows = statement.run()
        print(json.dumps({"rows": rows, "columns": [c["name"] for c in statement.columns or []]}, default=str), flush=True)
    except pg8000.exceptions.DatabaseError as error:
        print(json.dumps({"error": str(error)}), flush=True)
prepared = con.prepare("SELECT count(*) FROM decisions WHERE verdict = :verdict AND decided_at >= CAST(:since AS TIMESTAMPTZ)")
print(json.dumps({"rows": prepared.run(verdict="HOLD", since="2026-03-10T00:00:00Z")}, default=str))
