#!/bin/sh
# QEMU with a guest whose time is counted: each instruction takes it a nanosecond, on every host. While the guest waits, its time
# passes as the host's does. The time stamp counter then runs at 1,000 MHz, and the RTC follows it.
exec "${QEMU:-qemu-system-x86_64}" -icount shift=0 -rtc clock=vm "$@"
