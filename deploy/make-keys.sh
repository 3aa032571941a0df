#!/bin/sh
# Makes an Ed25519 key pair for each issuer of tokens, and for the maker of agent packages, that has none yet, and the
# certificates by which rsagents and the backend know each other: make-keys.sh FOLDER
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

# Makes a key and a request for a certificate: request NAME ARGUMENTS
request() {
  name=$1
  shift
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
    -keyout "$folder/$name.key" "$@"
}
# The authority's certificate is there last, when all others are.
if [ ! -s "$folder/tls-ca.pem" ]; then
  umask 077
  request tls-ca -x509 -days 3650 -out "$folder/tls-ca.new"
  for peer in rsagents-tls backend-tls; do
    request "$peer" -out "$folder/$peer.csr"
    printf 'subjectAltName=DNS:rsagents,DNS:localhost,IP:127.0.0.1\n' >"$folder/$peer.ext"
    openssl x509 -req -in "$folder/$peer.csr" -extfile "$folder/$peer.ext" -days 3650 \
      -CA "$folder/tls-ca.new" -CAkey "$folder/tls-ca.key" -CAcreateserial -out "$folder/$peer.pem"
    rm "$folder/$peer.csr" "$folder/$peer.ext"
  done
  chmod 0444 "$folder/tls-ca.new" "$folder/rsagents-tls.pem"
  mv "$folder/tls-ca.new" "$folder/tls-ca.pem"
fi
# The operators', the maker's, the backend's and the authority's keys are for people alone.
chown "$user" "$folder/rsagents.key" "$folder/rsclient.key" "$folder/rssync.key" "$folder/rsagents-tls.key"
