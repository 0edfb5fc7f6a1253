# The disk: partition table, GRUB for BIOS and UEFI, one slot filled, an empty data partition.

disk_size=8G
esp_id=50454E53
data_uuid=5e1b1a70-0012-4c6b-8a55-9a3d5b0c7e01
# As `disk.layout` has them, in MiB from the start.
bios_at=1 esp_at=2 boot_a_at=66 root_a_at=258 data_at=1538

# Prints where the disk is, which is made when it is first asked for.
disk() {
    [ -e "$1/disk.raw" ] || make_disk "$1"
    echo "$1/disk.raw"
}

make_disk() {
    local work=$1 disk=$1/disk.new
    truncate -s "$disk_size" "$disk"
    sfdisk --quiet "$disk" <"$here/disk.layout"
    make_esp "$work/esp.img"
    # systemd makes it as large as its partition.
    E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -t ext4 -b 4096 -L data -U "$data_uuid" -E hash_seed="$data_uuid",lazy_itable_init=0 \
        "$work/data.img" 64M >/dev/null
    put "$work/esp.img" "$disk" $esp_at
    put "$work/boot.img" "$disk" $boot_a_at
    put "$work/root.img" "$disk" $root_a_at
    put "$work/data.img" "$disk" $data_at
    install_grub_for_bios "$work" "$disk"
    mv "$disk" "$work/disk.raw"
}

put() {
    dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none
}

# The loader that Debian signed, behind the one that Microsoft signed. It looks for its configuration in /EFI/debian.
make_esp() {
    local esp=$1
    truncate -s 64M "$esp"
    mkfs.vfat --invariant -F 32 -n ESP -i $esp_id "$esp" >/dev/null
    # In the image slot B is empty. grub.cfg says what these mean.
    grub-editenv "$work/grubenv" create
    grub-editenv "$work/grubenv" set primary=a good=a a_tries=0 b_tries=3
    mmd -i "$esp" ::/EFI ::/EFI/BOOT ::/EFI/debian
    mcopy -i "$esp" /usr/lib/shim/shimx64.efi.signed ::/EFI/BOOT/BOOTX64.EFI
    mcopy -i "$esp" /usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed ::/EFI/BOOT/grubx64.efi
    mcopy -i "$esp" /usr/lib/shim/mmx64.efi.signed ::/EFI/BOOT/mmx64.efi
    mcopy -i "$esp" "$here/grub/grub.cfg" "$work/grubenv" ::/EFI/debian/
}

# What grub-install does with a real disk: the first sector names where the core begins, the core's first where it goes on.
install_grub_for_bios() {
    local work=$1 disk=$2 modules=/usr/lib/grub/i386-pc first=$((bios_at * 2048))
    grub-mkimage -O i386-pc -o "$work/core.img" -p '(hd0,gpt2)/EFI/debian' \
        biosdisk part_gpt fat ext2 normal configfile linux serial terminal echo test regexp loadenv reboot sleep
    write_sector_number "$work/core.img" $((0x1f4)) $((first + 1))
    cp $modules/boot.img "$work/boot-sector"
    write_sector_number "$work/boot-sector" $((0x5c)) $first
    dd if="$work/boot-sector" of="$disk" bs=440 count=1 conv=notrunc status=none
    put "$work/core.img" "$disk" $bios_at
}

write_sector_number() {
    local file=$1 at=$2 number=$3 bytes= byte
    for byte in 0 1 2 3 4 5 6 7; do
        bytes+=$(printf '\\x%02x' $((number >> 8 * byte & 255)))
    done
    printf '%b' "$bytes" | dd of="$file" bs=1 seek="$at" conv=notrunc status=none
}
