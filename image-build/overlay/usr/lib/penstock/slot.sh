# Which slot this is.
# shellcheck shell=sh

kernel_argument() {
    sed -n "s/^\(.* \)\?$1=\([^ ]*\).*/\2/p" /proc/cmdline
}

running_slot() {
    kernel_argument 'rauc\.slot'
}

other_than() {
    if [ "$1" = a ]; then echo b; else echo a; fi
}
