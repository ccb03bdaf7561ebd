#!/bin/sh
# Starts Temporal's server with production.yaml.
# Reads: TEMPORAL_SERVER (executable), TEMPORAL_CONFIG (this folder), TEMPORAL_LISTEN, TEMPORAL_PORT, TEMPORAL_SQL_ADDRESS,
# TEMPORAL_SQL_USER, SQL_PASSWORD_FILE.
set -eu
SQL_PASSWORD=$(cat "$SQL_PASSWORD_FILE")
export SQL_PASSWORD
# Behind a wildcard address the services must be told where they find each other.
if [ "$TEMPORAL_LISTEN" = 0.0.0.0 ]; then
  TEMPORAL_BROADCAST=$(hostname -i | cut -d ' ' -f 1)
else
  TEMPORAL_BROADCAST=$TEMPORAL_LISTEN
fi
export TEMPORAL_BROADCAST
exec "$TEMPORAL_SERVER" --root / --config "$TEMPORAL_CONFIG" --env production --allow-no-auth start
