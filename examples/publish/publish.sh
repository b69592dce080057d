#!/bin/sh
# Publish from a shell:
#
#     PUSH_URL=https://push.example.com/push PUSH_KEY=… ./publish.sh orders:7 '{"state":"shipped"}'
#
# What nobody has acknowledged curl sends again, and the key lets it be published once.
set -eu
answer=$(curl --silent --show-error --retry 5 --retry-all-errors --max-time 10 \
    --header "Authorization: Bearer $PUSH_KEY" \
    --header "Content-Type: application/json" \
    --header "Idempotency-Key: $(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" \
    --data-binary "{\"channel\":\"$1\",\"data\":$2}" \
    "$PUSH_URL/publish")
case $answer in
    *'"id":'*) echo "$answer" ;;
    *) echo "$answer" >&2; exit 1 ;;
esac
