#!/bin/sh
# Makes the namespace with our retention, or sets the retention of one that exists.
# Reads: TEMPORAL_CLI (executable, default temporal), TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_RETENTION.
set -eu
cli=${TEMPORAL_CLI:-temporal}
if "$cli" operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  exec "$cli" operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
fi
exec "$cli" operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
