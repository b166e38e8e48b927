#!/bin/bash
# Certificates for a Ray with TLS: docs/distributed/certificates.sh DIR IP...
# with the address of every host. Copy DIR to all hosts, mode 0700, and there,
# before `ray start` and before the command: source DIR/tls
set -euo pipefail
(($# > 1)) || { sed -n '2,4p' "$0"; exit 2; }
mkdir -p "$1"
cd "$1"
shift
umask 077
new="openssl req -x509 -nodes -days 365 -newkey ec"
new+=" -pkeyopt ec_paramgen_curve:prime256v1"
$new -subj /CN=mtssl-ca -keyout ca.key -out ca.pem
$new -subj /CN=mtssl -keyout key.pem -out cert.pem -CA ca.pem -CAkey ca.key \
    -addext basicConstraints=critical,CA:FALSE \
    -addext "subjectAltName=IP:127.0.0.1$(printf ',IP:%s' "$@")"
rm ca.key # nobody else gets one
cat > tls << END
export RAY_USE_TLS=1 RAY_TLS_CA_CERT=$PWD/ca.pem
export RAY_TLS_SERVER_CERT=$PWD/cert.pem RAY_TLS_SERVER_KEY=$PWD/key.pem
END
