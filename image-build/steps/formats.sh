# What the slot and the disk are shipped as: for each format, `make_FORMAT WORK_FOLDER FILE`.

all_formats=(raucb qcow2 raw.zst vhdx ova iso)

check_formats() {
    local format
    for format in "$@"; do
        [[ " ${all_formats[*]} " == *" $format "* ]] || fail "there is no format $format: there are ${all_formats[*]}"
    done
}

make_qcow2() {
    qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd "$(disk "$1")" "$2"
}

make_raw.zst() {
    zstd --quiet -3 --threads=0 "$(disk "$1")" -o "$2"
}

make_vhdx() {
    qemu-img convert -f raw -O vhdx -o subformat=dynamic "$(disk "$1")" "$2"
}

# The descriptor comes first, so that it can be read before the rest has arrived (DSP0243).
make_ova() {
    local ova=$1/ova
    mkdir "$ova"
    make_vmdk "$1" "$ova/penstock-disk.vmdk"
    sed -e "s/@VERSION@/$version/" -e "s/@VMDK_SIZE@/$(stat -c %s "$ova/penstock-disk.vmdk")/" \
        -e "s/@DISK_SIZE@/$(stat -c %s "$(disk "$1")")/" "$here/penstock.ovf" >"$ova/penstock.ovf"
    (
        cd "$ova"
        for file in penstock.ovf penstock-disk.vmdk; do
            echo "SHA256($file)= $(sha256sum "$file" | cut -d' ' -f1)"
        done >penstock.mf
        tar --format=ustar --owner=0 --group=0 --numeric-owner --mode=0644 --mtime="@$SOURCE_DATE_EPOCH" \
            -cf "$2" penstock.ovf penstock.mf penstock-disk.vmdk
    )
    rm -r "$ova"
}

make_vmdk() {
    qemu-img convert -f raw -O vmdk -o subformat=streamOptimized,adapter_type=lsilogic "$(disk "$1")" "$2"
    # It was drawn by lot.
    sed -i '1,/^CID=/ s/^CID=[0-9a-f]\{8\}$/CID=70656e73/' "$2"
}

# The update: a slot, signed. An appliance takes it if it trusts the certificate, which is in its root.
make_raucb() {
    local bundle=$1/bundle
    mkdir "$bundle"
    ln "$1/root.img" "$1/boot.img" "$bundle/"
    printf '[update]\ncompatible=penstock\nversion=%s\n\n[bundle]\nformat=verity\n\n' "$version" >"$bundle/manifest.raucm"
    printf '[image.root]\nfilename=root.img\n\n[image.boot]\nfilename=boot.img\n' >>"$bundle/manifest.raucm"
    rauc --cert="$signing/certificate.pem" --key="$signing/key.pem" bundle \
        --mksquashfs-args="-comp zstd -Xcompression-level 3 -quiet" "$bundle" "$2" >"$1/rauc.log" 2>&1 || {
        cat "$1/rauc.log" >&2
        fail "the update was not made"
    }
    rm -r "$bundle"
}

# Whoever makes images has a key of their own, and keeps it: appliances made with it take no others' updates.
have_signing_key() {
    [ ! -e "$signing/key.pem" ] || return 0
    step "Making a key to sign updates with: $signing/key.pem"
    mkdir -p "$signing"
    chmod 0700 "$signing"
    openssl req -x509 -newkey rsa:4096 -nodes -days 10950 -subj "/O=Penstock/CN=Updates from $(hostname)" \
        -keyout "$signing/key.pem.new" -out "$signing/certificate.pem" 2>/dev/null
    chmod 0600 "$signing/key.pem.new"
    mv "$signing/key.pem.new" "$signing/key.pem"
}
