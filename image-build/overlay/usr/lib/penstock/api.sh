# Whether the API answers, asked from inside.
# shellcheck shell=sh

listens_at() {
    sed -n 's/^listen = "\(.*\)"/\1/p' /etc/penstock/penstock.toml 2>/dev/null
}

# Whether `$1`, as `/readyz`, is answered with 200.
api_answers() {
    printf 'GET %s HTTP/1.1\r\nHost: penstock\r\nConnection: close\r\n\r\n' "$1" |
        timeout 10 openssl s_client -quiet -connect "$(listens_at)" 2>/dev/null | grep -q '^HTTP/1.1 200'
}
