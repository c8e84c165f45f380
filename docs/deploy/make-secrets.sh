#!/bin/sh
# Random passwords for docker-compose.yml, one file each in ./secrets. What is there already is kept.
#
# The folder is closed to other users of this machine. The files are not: a container runs as a user whose number has
# nothing to do with yours, and sees only the files that it is given.
set -eu
umask 077
cd "$(dirname "$0")/../.."
mkdir -p secrets
chmod 700 secrets

password() {
    [ -e "secrets/$1" ] || od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$1"
}

dsn() { # file, user, file of the password
    [ -e "secrets/$1" ] || printf 'postgresql://%s:%s@postgres:5432/otelgres' "$2" "$(cat "secrets/$3")" > "secrets/$1"
}

password postgres_password
password admin_password
password receiver_password
password grafana_password
password grafana_admin_password
dsn postgres_dsn postgres postgres_password
dsn admin_dsn otelgres_admin admin_password
dsn receiver_dsn otelgres_receiver receiver_password
chmod 444 secrets/*
echo "secrets/ is ready."
