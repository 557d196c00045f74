"""Answers every query of the files named, over a Portgate folder, with DuckDB: a Parquet file each.

run.py SCHEMA QUERIES FOLDER OUT
"""

import pathlib
import sys

import duckdb


def main(schema: str, queries: str, folder: str, out: str) -> None:
    con = duckdb.connect()
    con.execute("SET TimeZone = 'Asia/Shanghai'")
    con.execute(pathlib.Path(schema).read_text(encoding="utf-8").replace("$DIR", folder))
    for block in pathlib.Path(queries).read_text(encoding="utf-8").split("\n-- name: ")[1:]:
        name, rest = block.split("\n", 1)
        head = rest.split("\n")
        columns = next(line for line in head if line.startswith("-- duckdb: ")).removeprefix("-- duckdb: ")
        where = next((line.removeprefix("-- where: ") for line in head if line.startswith("-- where: ")), "true")
        sql = "\n".join(line for line in head if not line.startswith("-- ")).strip().rstrip(";")
        target = pathlib.Path(out) / f"{name.strip()}.parquet"
        try:
            con.execute(f"COPY (SELECT {columns} FROM ({sql}\n) WHERE {where}) TO '{target}' (FORMAT PARQUET)")
        except duckdb.Error as error:
            sys.exit(f"{name}: {error}")


main(*sys.argv[1:])
