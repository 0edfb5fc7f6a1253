# The installer: a CD or stick that boots by BIOS and by UEFI, with Secure Boot too, and writes the disk as it was built. It starts the
# kernel and initramfs of the slot, whose script `install` does the rest.

# As much of the disk as is not empty: up to the end of the data partition's file system, which grows later.
installed_mib=$((data_at + 64))

make_iso() {
    local work=$1 tree=$1/iso disk
    disk=$(disk "$work")
    mkdir -p "$tree/boot/grub"
    cp "$work/boot/vmlinuz" "$work/boot/initrd.img" "$tree/"
    head -c "${installed_mib}M" "$disk" | zstd --quiet -"$squeeze" --threads=0 -o "$tree/penstock.zst"
    (cd "$tree" && sha256sum penstock.zst >penstock.sum)
    cp "$here/grub/installer.cfg" "$tree/boot/grub/grub.cfg"
    grub-mkimage -O i386-pc-eltorito -o "$tree/boot/grub/eltorito.img" -p /boot/grub \
        biosdisk iso9660 part_msdos part_gpt normal configfile linux serial terminal search search_label
    make_installer_esp "$work" "$work/installer-esp.img"
    find "$tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    xorriso -as mkisofs -quiet -volid PENSTOCK -rational-rock -joliet \
        -b boot/grub/eltorito.img -no-emul-boot -boot-load-size 4 -boot-info-table --grub2-boot-info \
        --grub2-mbr /usr/lib/grub/i386-pc/boot_hybrid.img \
        --efi-boot efi.img -efi-boot-part --efi-boot-image --protective-msdos-label \
        -output "$2" "$tree" 2>"$work/xorriso.log" || {
        cat "$work/xorriso.log" >&2
        fail "the installer was not made"
    }
    rm -r "$tree"
}

# The same signed loaders as on the disk; GRUB's configuration sends it to the medium.
make_installer_esp() {
    local work=$1 esp=$2
    truncate -s 8M "$esp"
    mkfs.vfat --invariant -n INSTALLER -i $esp_id "$esp" >/dev/null
    mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/EFI/debian
    mcopy -i "$esp" /usr/lib/shim/shimx64.efi.signed ::/EFI/BOOT/BOOTX64.EFI
    mcopy -i "$esp" /usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed ::/EFI/BOOT/grubx64.efi
    mcopy -i "$esp" /usr/lib/shim/mmx64.efi.signed ::/EFI/BOOT/mmx64.efi
    mcopy -i "$esp" "$here/grub/installer.cfg" ::/EFI/debian/grub.cfg
    cp "$esp" "$work/iso/efi.img"
}
