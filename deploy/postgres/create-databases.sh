#!/bin/bash
# Run once by the image of Postgres, when its data folder is new: a role for each of the two programs, each with its databases.
# Neither is a superuser. psql's own variables (PGHOST, ...) say where; in the image that is the local socket.
set -euo pipefail

secrets=${SECRETS_FOLDER:-/run/secrets}

create() { # role, file with its password, databases...
  local role=$1 password_file=$2
  shift 2
  # The password goes in by standard input and psql's own quoting, so that it stands in no command line.
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<SQL
\set password \`cat '$password_file'\`
CREATE ROLE $role LOGIN PASSWORD :'password';
$(for database in "$@"; do echo "CREATE DATABASE $database OWNER $role;"; done)
SQL
}

create "${FETTLE_DATABASE_USER:-fettle}" "$secrets/fettle_database_password" fettle
create temporal "$secrets/temporal_database_password" temporal temporal_visibility
