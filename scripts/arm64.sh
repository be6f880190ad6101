#!/bin/sh
# Runs a program for linux/arm64 on any Linux: `sh scripts/arm64.sh PROGRAM ARGUMENTS...`, where there is no such processor in qemu's emulator
# (qemu-user-static), with the C library of Debian's cross compiler (libc6-dev-arm64-cross). Ends with 127 without the emulator.
#
# What a program asks the system about the processor, the emulator answers with files of this machine, and ONNX Runtime, which finds another
# processor in them than the one that it runs on, crashes when it is loaded. So these are replaced: one core of a Neoverse N1.
set -eu
if [ "$(uname -sm)" = "Linux aarch64" ]; then
	exec "$@"
fi
libraries=/usr/aarch64-linux-gnu/lib
if ! emulator=$(command -v qemu-aarch64-static); then
	echo "arm64: no qemu-aarch64-static: install qemu-user-static" >&2
	exit 127
fi
system=$(mktemp -d)
trap 'rm -rf "$system"' EXIT
trap 'exit 130' INT TERM HUP
mkdir -p "$system/proc" "$system/sys/devices/system/cpu"
if [ -d "$libraries" ]; then
	ln -s "$libraries" "$system/lib"
fi
cat >"$system/proc/cpuinfo" <<'END'
processor	: 0
BogoMIPS	: 50.00
Features	: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer	: 0x41
CPU architecture: 8
CPU variant	: 0x3
CPU part	: 0xd0c
CPU revision	: 1

END
for list in possible present online; do
	echo 0 >"$system/sys/devices/system/cpu/$list"
done
status=0
QEMU_LD_PREFIX=$system "$emulator" -cpu neoverse-n1 "$@" || status=$?
exit "$status"
