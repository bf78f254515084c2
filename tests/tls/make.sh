#!/bin/sh
# Makes the certificates of the TLS tests anew, valid from 2020 to 2120. The keys protect nothing.
#   ca          signs all but stranger       server    localhost and 127.0.0.1
#   wrong-host  another name                 expired   localhost and 127.0.0.1, in the past
#   stranger    signed by itself             client    for client certificates, with a key of its own
# server.key belongs to server, wrong-host, expired and stranger.
set -eu
target=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
cd "$scratch"
mkdir issued
touch index
cat > config <<'END'
[ca]
default_ca = test
[test]
database = index
new_certs_dir = issued
rand_serial = yes
unique_subject = no
default_md = sha256
policy = names
certificate = ca.pem
private_key = ca.key
[names]
commonName = supplied
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = keyCertSign,cRLSign
[here]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost,IP:127.0.0.1
[elsewhere]
basicConstraints = CA:FALSE
subjectAltName = DNS:elsewhere.test
END

for name in ca server client; do
    openssl ecparam -genkey -name prime256v1 -noout | openssl pkcs8 -topk8 -nocrypt -out "$name.key"
done

# name, key, section of its extensions, last year, further options of openssl ca
certify() {
    name=$1 key=$2 section=$3 last=$4
    shift 4
    openssl req -new -key "$key.key" -subj "/CN=$name" -out request
    openssl ca -batch -notext -config config -extensions "$section" -in request -out "$name.pem" \
        -startdate 20200101000000Z -enddate "${last}0101000000Z" "$@"
}
certify ca ca authority 2120 -selfsign
certify server server here 2120
certify expired server here 2021
certify wrong-host server elsewhere 2120
certify client client here 2120
certify stranger server here 2120 -selfsign -keyfile server.key
cp ./*.pem server.key client.key "$target"
