#!/bin/sh
# Entry point of the image: makes DATABASE_URL from the password's file, then becomes the program, a path below this checkout.
set -eu
cd "$(dirname "$0")/.."
if [ -n "${FETTLE_DATABASE_PASSWORD_FILE:-}" ]; then
  # The password holds letters and digits only (make-secrets.mjs), so it needs no escaping in a URL.
  password=$(cat "$FETTLE_DATABASE_PASSWORD_FILE")
  address="${FETTLE_DATABASE_HOST:-postgres}:${FETTLE_DATABASE_PORT:-5432}"
  DATABASE_URL="postgres://${FETTLE_DATABASE_USER:-fettle}:$password@$address/fettle"
  export DATABASE_URL
fi
exec node --enable-source-maps "$@"
