#!/bin/sh
# Entry point of the image: makes DATABASE_URL from the password's file, then becomes the program.
set -eu
if [ -n "${FETTLE_DATABASE_PASSWORD_FILE:-}" ]; then
  # The password holds letters and digits only (make-secrets.mjs), so it needs no escaping in a URL.
  DATABASE_URL="postgres://fettle:$(cat "$FETTLE_DATABASE_PASSWORD_FILE")@${FETTLE_DATABASE_HOST:-postgres}:${FETTLE_DATABASE_PORT:-5432}/fettle"
  export DATABASE_URL
fi
exec node --enable-source-maps "$@"
