# The tree of files that becomes the root: packages, overlay, programs, without what no appliance needs.

make_root() {
    local base=$1 root=$2
    step "Making the root"
    mkdir "$root"
    tar -xf "$base" -C "$root" --xattrs --xattrs-include='*'
    cp -a --no-preserve=ownership "$here/overlay/." "$root/"
    install_programs "$root"
    echo "$version" >"$root/usr/lib/penstock/version"
    make_sbom "$base" >"$root/usr/share/doc/penstock.cdx.json"
    cp "$signing/certificate.pem" "$root/etc/rauc/keyring.pem"
    echo penstock >"$root/etc/hostname"
    printf '127.0.0.1 localhost penstock\n::1 localhost\n' >"$root/etc/hosts"
    chroot "$root" useradd --system --uid 990 --user-group --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin penstock
    # Whose time is taken is said while it runs.
    sed -i '/^pool /d' "$root/etc/chrony/chrony.conf"
    choose_services "$root"
    trim_modules "$root"
    make_initramfs "$root"
    forget "$root"
    refuse_secrets "$root"
}

install_programs() {
    local root=$1 program
    for program in penstockd penstock-host penstock-l4 penstock-l7 penstock-console; do
        [ -e "$programs/$program" ] || fail "there is no $programs/$program: run \`make build\`"
        strip -o "$root/usr/lib/penstock/$program" "$programs/$program"
        chmod 0755 "$root/usr/lib/penstock/$program"
    done
}

choose_services() {
    local root=$1
    chroot "$root" systemctl --quiet enable systemd-networkd \
        penstock-grow penstock-state penstock-network penstock-host penstock-l4 penstock-l7 penstockd penstock-follow-address penstock-healthy penstock-provision \
        penstock-screen@ttyS0 penstock-screen@tty1
    # Where a server was named it is started; the journal's socket knows it by its other name.
    chroot "$root" systemctl --quiet disable rsyslog 2>/dev/null
    ln -s /lib/systemd/system/rsyslog.service "$root/etc/systemd/system/syslog.service"
    # Nobody can sign in on a console, and updates come as whole slots.
    chroot "$root" systemctl --quiet mask getty@.service serial-getty@.service getty-static.service \
        apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
        systemd-repart.service 2>/dev/null
    chroot "$root" systemctl --quiet set-default multi-user.target
    chroot "$root" passwd --quiet --lock root
}

# Hardware that no load balancer has, and file systems that it does not mount.
trim_modules() {
    local root=$1 modules release
    modules=$(echo "$root"/lib/modules/*)
    release=${modules##*/}
    (
        cd "$modules/kernel"
        rm -rf sound arch/x86/kvm drivers/{edac,hwmon,gpu,media,staging,bluetooth,isdn,iio,infiniband,comedi,mmc,mtd,nfc,firewire,accessibility,leds,parport,pcmcia,power,pps,rtc,thunderbolt,w1,gnss,greybus,soundwire,usb/gadget,usb/serial,usb/misc,input/touchscreen,input/joystick,input/tablet,hid,memstick,ata/pata_*} \
            drivers/net/{wireless,wwan,can,ieee802154,hamradio,arcnet,fddi,usb,wan,slip,plip,ppp} \
            net/{bluetooth,mac80211,wireless,can,ieee802154,mac802154,6lowpan,nfc,atm,ax25,rose,netrom,batman-adv,sctp,rds,tipc,dccp,ceph,9p,phonet,rxrpc,sunrpc} \
            fs/{btrfs,xfs,ocfs2,gfs2,jfs,f2fs,nilfs2,reiserfs,ceph,nfs,nfsd,smb,cifs,smbfs_common,afs,coda,orangefs,ubifs,jffs2,ufs,hfs,hfsplus,minix,affs,befs,bfs,efs,erofs,qnx4,qnx6,romfs,sysv,freevxfs,ntfs,ntfs3,omfs,zonefs,udf,dlm,lockd,9p,exfat,quota,ecryptfs}
    )
    chroot "$root" depmod "$release"
}

make_initramfs() {
    local root=$1
    step "Making the initramfs"
    # The kernel's package made one before there was a list of modules.
    rm -f "$root"/boot/initrd.img-*
    mount -t proc proc "$root/proc"
    chroot "$root" update-initramfs -c -k all >/dev/null 2>"$root/tmp/initramfs.log" || {
        umount "$root/proc"
        cat "$root/tmp/initramfs.log" >&2
        fail "no initramfs was made"
    }
    umount "$root/proc"
}

# Nothing that is one machine's own, nothing that tells when it was built.
forget() {
    local root=$1
    : >"$root/etc/machine-id"
    rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/{passwd-,group-,shadow-,gshadow-,subuid-,subgid-} "$root/etc/resolv.conf"
    rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/{apt,debconf,ldconfig}/* "$root"/var/log/* "$root"/tmp/* "$root"/boot/grub
    rm -f "$root"/var/lib/systemd/random-seed "$root"/etc/ssh/ssh_host_*
}

# Every appliance makes its own: one in the image would be the same in all.
refuse_secrets() {
    local root=$1 found
    found=$(grep --recursive --files-with-matches --binary-files=text --devices=skip -e '-----BEGIN.*PRIVATE KEY-----$' "$root/etc" "$root/root" \
        "$root/var" "$root/usr/share" "$root/usr/local" || true)
    [ -z "$found" ] || fail "a private key is in the image: $found"
    found=$(awk -F: '$2 !~ /^[!*]+$/ { print $1 }' "$root/etc/shadow")
    [ -z "$found" ] || fail "these users have a password in the image: $found"
}
