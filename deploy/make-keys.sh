#!/bin/sh
# Makes an Ed25519 key pair for each issuer of tokens, and for the maker of agent packages, that has none yet:
# make-keys.sh FOLDER
set -eu
folder=$1
# The user that the services run as.
user=65532

for issuer in operators maker rsagents rsclient rssync; do
  key=$folder/$issuer.key
  if [ -s "$key" ]; then
    continue
  fi
  umask 077
  openssl genpkey -algorithm ed25519 -out "$key.new"
  openssl pkey -in "$key.new" -pubout -out "$folder/$issuer.pub"
  chmod 0444 "$folder/$issuer.pub"
  mv "$key.new" "$key"
done
# The operators' and the maker's keys are for people alone.
chown "$user" "$folder/rsagents.key" "$folder/rsclient.key" "$folder/rssync.key"
