# A slot, as it is built and later as an update brings it: `root.img`, the verified root, and `boot.img`, what starts it.

# Fixed, so that the same tree has the same hash.
verity_salt=6e7374636b2d70656e73746f636b2d72656e73746f636b2d76657269747931
verity_uuid=5e1b1a70-0010-4c6b-8a55-9a3d5b0c7e01
boot_uuid=5e1b1a70-0011-4c6b-8a55-9a3d5b0c7e01

make_slot() {
    local root=$1 out=$2 start kernel file
    mkdir "$out/boot"
    kernel=$(basename "$root"/boot/vmlinuz-*)
    mv "$root/boot/$kernel" "$out/boot/vmlinuz"
    mv "$root"/boot/initrd.img-* "$out/boot/initrd.img"
    rm -f "$root"/boot/* "$root"/{vmlinuz,initrd.img}*

    step "Compressing the root"
    mksquashfs "$root" "$out/root.img" -comp zstd -Xcompression-level "$squeeze" -b 256K \
        -noappend -no-progress -quiet >/dev/null
    start=$(stat -c %s "$out/root.img")
    veritysetup format --salt="$verity_salt" --uuid="$verity_uuid" --hash-offset="$start" \
        "$out/root.img" "$out/root.img" >"$out/verity"
    write_slot_cfg "$start" "$(awk '/^Root hash:/ { print $3 }' "$out/verity")" >"$out/boot/slot.cfg"

    touch -h -d "@$SOURCE_DATE_EPOCH" "$out/boot"/* "$out/boot"
    E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -t ext2 -L boot -U "$boot_uuid" -E hash_seed="$boot_uuid" \
        -d "$out/boot" "$out/boot.img" 96M >/dev/null
    # mke2fs takes this time alone from the clock.
    for file in vmlinuz initrd.img slot.cfg; do
        E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH debugfs -w -R "set_inode_field /$file ctime @$SOURCE_DATE_EPOCH" \
            "$out/boot.img" 2>/dev/null
    done
}

# GRUB reads it: what differs from one version to the next.
write_slot_cfg() {
    printf 'set slot_version="%s"\n' "$version"
    printf 'set slot_arguments="penstock.hashes=%s penstock.roothash=%s%s"\n' "$1" "$2" "${PENSTOCK_IMAGE_ARGUMENTS:+ $PENSTOCK_IMAGE_ARGUMENTS}"
}
