# What the image is made of, as CycloneDX 1.5: Debian's packages (their licences are in /usr/share/doc), and the crates and npm
# packages in the programs.

make_sbom() {
    local base=$1
    { debian_components "$base"; crates; npm_packages; } |
        jq --slurp --arg version "$version" --arg time "$(date --utc --date "@$SOURCE_DATE_EPOCH" +%FT%TZ)" '{
            bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
            metadata: { timestamp: $time, component: { type: "firmware", name: "penstock", version: $version } },
            components: unique_by(.purl)
        }'
}

debian_components() {
    packages_in "$1" | jq --raw-input 'split(" ") | {
        type: "library", name: .[0], version: .[1], purl: "pkg:deb/debian/\(.[0])@\(.[1] | @uri)?arch=amd64&distro=bookworm"
    }'
}

# Lines `name version licence`, in which the workspace's own have a path.
crates() {
    cargo tree --manifest-path "$here/../Cargo.toml" --locked --workspace --edges normal --prefix none --format '{p}|{l}' |
        sed -n 's/^\([^ ]*\) v\([^ |]*\)\( (proc-macro)\)\?|\(.*\)$/\1 \2 \4/p' | LC_ALL=C sort -u |
        jq --raw-input 'split(" ") | { type: "library", name: .[0], version: .[1], purl: "pkg:cargo/\(.[0])@\(.[1])",
            licenses: [{ expression: (.[2:] | join(" ") | gsub("/"; " OR ")) }] }'
}

npm_packages() {
    jq '.packages | to_entries[] | select(.key != "" and (.value.dev | not)) |
        (.key | sub("^.*node_modules/"; "")) as $name |
        { type: "library", name: $name, version: .value.version, purl: "pkg:npm/\($name | sub("^@"; "%40"))@\(.value.version)" } +
        if .value.license then { licenses: [{ expression: .value.license }] } else {} end' "$here/../web-ui/package-lock.json"
}
