#!/bin/sh
# Brings Temporal's databases to the schema of its version; on an up-to-date one it changes nothing. The databases exist already.
# Reads: TEMPORAL_SQL_TOOL (executable), TEMPORAL_SCHEMA_DIR, SQL_PLUGIN, SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD_FILE.
set -eu
SQL_PASSWORD=$(cat "$SQL_PASSWORD_FILE")
export SQL_PASSWORD
for store in temporal visibility; do
  case "$store" in
    temporal) database=temporal ;;
    visibility) database=temporal_visibility ;;
  esac
  # Only the first time: it lays down the table of versions, and fails where that is.
  "$TEMPORAL_SQL_TOOL" --database "$database" setup-schema --version 0.0 || echo "$database: was set up before"
  "$TEMPORAL_SQL_TOOL" --database "$database" update-schema --schema-dir "$TEMPORAL_SCHEMA_DIR/$store/versioned"
done
