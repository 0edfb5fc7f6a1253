# The tree of Debian packages, kept as a tar by the hash of what it is made from.

# From where this machine has its own packages, unless told otherwise.
if [ -n "${PENSTOCK_DEBIAN:-}" ]; then
    sources=(
        "deb $PENSTOCK_DEBIAN/debian bookworm main"
        "deb $PENSTOCK_DEBIAN/debian bookworm-updates main"
        "deb $PENSTOCK_DEBIAN/debian-security bookworm-security main"
    )
else
    mapfile -t sources < <(
        apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
            grep -E ' bookworm(-updates|-security)? main$' | sort -u
    )
fi

wanted_packages() {
    sed 's/#.*//' "$here/packages" | xargs | tr ' ' ,
}

# What the tar is made from.
base_sum() {
    cat "$here/packages" "$here/packages.lock" "$here/steps/base.sh" | sha256sum | cut -c1-16
}

# Prints where the tar is. One with other versions than the locked ones is kept under another name, for a day.
base_tar() {
    local tar new
    tar=$cache/base-$(base_sum).tar
    new=${tar%.tar}-$(date +%F).tar
    if [ ! -e "$tar" ] && { $locked || [ ! -e "$new" ]; }; then
        step "Installing Debian packages into $tar" >&2
        install_packages "$new.part"
        mv "$new.part" "$new"
        if same_as_lock "$new"; then
            mv "$new" "$tar"
        elif $locked; then
            fail "Debian has other versions than packages.lock: look at them, then run image-build/build --lock"
        else
            echo "penstock: Debian has other versions than packages.lock: these are taken" >&2
        fi
    fi
    if [ -e "$tar" ]; then echo "$tar"; else echo "$new"; fi
}

install_packages() {
    mmdebstrap --quiet --format=tar --variant=minbase --include="$(wanted_packages)" \
        --aptopt='APT::Install-Recommends "false"' \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        bookworm "$1" "${sources[@]}" >&2
}

# Lines `package version` of everything in a tar.
packages_in() {
    tar -xOf "$1" ./var/lib/dpkg/status |
        awk '/^Package:/ { package = $2 } /^Version:/ { print package, $2 }' | LC_ALL=C sort
}

same_as_lock() {
    diff -U0 "$here/packages.lock" <(packages_in "$1") >&2
}

lock_packages() {
    local tar=$cache/lock.tar
    step "Installing Debian packages to see their versions"
    install_packages "$tar"
    packages_in "$tar" >"$here/packages.lock"
    # Locked is as good as built.
    mv "$tar" "$cache/base-$(base_sum).tar"
    step "$(wc -l <"$here/packages.lock") packages locked"
}
