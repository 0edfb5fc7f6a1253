# What `network`, `settings` and `configure` need to know: the values of seed and settings, and the network cards in the order of their places.
# The first card is for management; the others are ports. A single one is both.
# shellcheck shell=sh

seed() {
    sed -n "s/^$1=//p" /run/penstock-seed | tail -n 1
}

# What the API has set, on trial or to stay, in place of what the seed says of the same things.
setting() {
    for settings in /run/penstock-host/settings /data/penstock/host/settings /run/penstock-seed; do
        if [ -e $settings ]; then
            sed -n "s/^$1=//p" $settings | tail -n 1
            return
        fi
    done
}

# Lines `place interface`, as `0000:00:04.0 ens4`, written once: a card that goes to DPDK is then no interface any more.
cards() {
    if [ ! -e /run/penstock-cards ]; then
        for path in /sys/class/net/*; do
            [ ! -e "$path/device" ] || echo "$(place "$path") ${path##*/}"
        done | sort >/run/penstock-cards
    fi
    cat /run/penstock-cards
}

# A virtio interface's own device is below the PCI device.
place() {
    readlink -f "$1/device" | grep -oE '[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]' | tail -n 1
}

# Calls `$1 number place interface driver` for each port.
for_each_port() {
    if [ "$(cards | wc -l)" -le 1 ]; then
        cards | while read -r place interface; do "$1" 1 "$place" "$interface" af_xdp; done
        return
    fi
    number=0
    cards | tail -n +2 | while read -r place interface; do
        number=$((number + 1))
        driver=$(seed "port.$number.driver")
        "$1" "$number" "$place" "$interface" "${driver:-af_xdp}"
    done
}
