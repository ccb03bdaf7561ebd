#!/bin/sh
# Makes the namespace with our retention, or sets the retention of one that exists.
# Reads: TEMPORAL_CLI (executable, default temporal), TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_RETENTION.
set -eu
cli=${TEMPORAL_CLI:-temporal}
if ! "$cli" operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  "$cli" operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"
fi
# The server's services learn of a new namespace some seconds later; this ends when they have, so that workers find it.
tries=0
until "$cli" operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$TEMPORAL_RETENTION"; do
  tries=$((tries + 1))
  [ "$tries" -lt 60 ] || exit 1
  sleep 1
done
