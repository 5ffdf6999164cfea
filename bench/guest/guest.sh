#!/usr/bin/env bash
# Boots a throw-away Linux guest in QEMU, runs one command in it, streams its
# console and exits with the command's status. It is software emulation: no
# /dev/kvm and no root are needed, and everything takes 10 to 20 times as long.
# Nothing is written outside the cache, a temporary directory and --out.
set -euo pipefail

usage() {
  cat <<'EOF'
usage: guest.sh [options] -- CMD...

Boots an emulated Linux with an initramfs made here and runs CMD with /bin/sh.

  --mem SIZE          guest memory, with M or G (default 2G)
  --smp N             virtual CPUs (default 2)
  --timeout SECONDS   hard limit on the whole run (default 1200)
  --bin FILE          executable to place in the guest's /bin, with the shared
                      libraries that it needs (repeat)
  --sysctl KEY=VALUE  sysctl to set before CMD, after the defaults (repeat)
  --kernel PACKAGE    Debian package, or .deb file, that holds the kernel
                      (default linux-image-6.12-cloud-amd64)
  --out FILE          what CMD writes to /dev/result lands in FILE
  --prepare           fetch and unpack the kernel, then stop
  --verbose           show the kernel's boot messages

Needs the Debian packages qemu-system-x86, busybox-static and cpio, and package
lists that know the kernel (apt-get update). The kernel is fetched by apt-get
download, without root, and kept in $GUEST_CACHE (default out/guest of the
repository). The guest has no disk and no network but loopback.

Exit status: CMD's own, 124 when the time ran out, 125 when the guest did not
reach or finish CMD.
EOF
}

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${GUEST_CACHE:-$repository/out/guest}
mem=2G smp=2 limit=1200 kernel=linux-image-6.12-cloud-amd64 out='' prepare=0 verbose=0
bins=() sysctls=()

die() { echo "guest.sh: $*" >&2; exit 125; }

while [ $# -gt 0 ]; do
  case $1 in
    --mem) mem=$2; shift 2 ;;
    --smp) smp=$2; shift 2 ;;
    --timeout) limit=$2; shift 2 ;;
    --bin) bins+=("$2"); shift 2 ;;
    --sysctl) sysctls+=("$2"); shift 2 ;;
    --kernel) kernel=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --prepare) prepare=1; shift ;;
    --verbose) verbose=1; shift ;;
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    *) usage >&2; exit 125 ;;
  esac
done
[ $prepare = 1 ] || [ $# -gt 0 ] || { usage >&2; exit 125; }
cmd=$*

PATH=$PATH:/sbin:/usr/sbin
missing=
for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static cpio:cpio dpkg-deb:dpkg; do
  command -v "${tool%%:*}" >/dev/null || missing+=" ${tool#*:}"
done
busybox=$(command -v busybox || true)
! ldd "$busybox" >/dev/null 2>&1 || missing+=" busybox-static"
[ -z "$missing" ] || die "these packages are needed, make deps-million installs them:$missing"

# The kernel: fetched and unpacked once into the cache.
root=$cache/$(basename "$kernel" .deb)
if [ ! -e "$root/.ready" ]; then
  rm -rf "$root" && mkdir -p "$root"
  deb=$kernel
  if [ ! -f "$deb" ]; then
    # A meta-package names the image that it depends on.
    image=$(apt-cache depends "$kernel" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-.*\)/\1/p' | head -n 1) || true
    (cd "$root" && apt-get -qq -o APT::Sandbox::User=root download "${image:-$kernel}") >&2 ||
      { rm -rf "$root"; die "cannot fetch ${image:-$kernel}: run apt-get update"; }
    deb=$(ls "$root"/*.deb)
  fi
  # Of the package only the kernel itself is needed: what the guest uses is
  # built in.
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --wildcards './boot/vmlinuz-*'
  rm -f "$root"/*.deb
  touch "$root/.ready"
fi
vmlinuz=$(ls "$root"/boot/vmlinuz-*)
[ $prepare = 0 ] || { echo "${vmlinuz##*/vmlinuz-} in $root"; exit 0; }

work=$(mktemp -d)
pid=
cleanup() {
  trap '' INT TERM
  if [ -n "$pid" ]; then
    { kill -KILL -- "-$pid"; wait "$pid"; } 2>/dev/null || true
  fi
  [ -z "$out" ] || [ ! -e "$work/out" ] || cp "$work/out" "$out"
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The initramfs.
r=$work/root
mkdir -p "$r"/{bin,dev,proc,sys,tmp,etc,root}
cp "$busybox" "$r/bin/busybox"
for b in ${bins[@]+"${bins[@]}"}; do
  [ -f "$b" ] || die "no such file: $b"
  cp "$b" "$r/bin/"
  # ldd fails for a static one. A library's line ends in its path and address.
  for library in $(ldd "$b" 2>/dev/null | sed -n 's/^[^/]*\(\/[^ ]*\) (0x[0-9a-f]*)$/\1/p'); do
    mkdir -p "$r${library%/*}"
    cp "$library" "$r$library"
  done
done
printf '%s\n' "$cmd" >"$r/cmd"
cat >"$r/sysctl" <<'EOF'
fs.nr_open=2100000
fs.file-max=4000000
net.ipv4.ip_local_port_range=1024 65535
net.core.somaxconn=65535
net.core.netdev_max_backlog=65535
net.ipv4.tcp_max_syn_backlog=65535
net.ipv4.tcp_mem=1000000 2000000 3000000
net.ipv4.tcp_max_tw_buckets=2000000
net.ipv4.tcp_max_orphans=2000000
kernel.panic=-1
EOF
for s in ${sysctls[@]+"${sysctls[@]}"}; do echo "$s" >>"$r/sysctl"; done
cat >"$r/init" <<'EOF'
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
mount -t tmpfs tmp /tmp
ip link set lo up
while IFS='=' read -r k v; do
  echo "$v" 2>/dev/null >"/proc/sys/$(echo "$k" | tr . /)" || echo "guest: cannot set $k=$v"
done </sysctl
ulimit -n 2100000
# Go's runtime has a thread that wakes up every 20 us while there is work; here
# each time costs more than that. With 5 ms a connect takes 1.0 ms of the host's
# CPU, both ends, instead of 1.5.
echo 5000000 >/proc/self/timerslack_ns
[ "${result:-}" != tty ] || { stty -F /dev/ttyS1 raw -echo; ln -s /dev/ttyS1 /dev/result; }
echo "guest: up after $(cut -d ' ' -f 1 /proc/uptime)s, $(uname -r), $(nproc) cpu, $(free -m | awk '/Mem:/ {print $2}') MiB"
sh /cmd
echo "guest: exit $?"
sync
poweroff -f
EOF
chmod 755 "$r/init"
(cd "$r" && find . | cpio -o -H newc -R 0:0 --quiet) | gzip -1 >"$work/initrd"
rm -rf "$r"

# What only costs time here is off: address randomisation, checks of copies and
# of permissions, pre-emption. It takes a connect from 1.0 to 0.8 ms of the
# host's CPU. thash_entries: the kernel sizes its table of connections by memory,
# too small for two sockets a connection.
args="console=ttyS0,115200 panic=-1 mitigations=off nokaslr no5lvl init_on_alloc=0 audit=0 cgroup_disable=memory nowatchdog"
args="$args randomize_kstack_offset=off hardened_usercopy=off apparmor=0 lsm=capability preempt=none"
args="$args tsc=reliable rcupdate.rcu_expedited=1 thash_entries=1048576"
[ $verbose = 1 ] || args="$args quiet loglevel=3"
: >"$work/out"
[ -z "$out" ] || args="$args result=tty"
boot=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot
  -machine q35,mem-merge=off -accel "tcg,thread=multi,tb-size=256"
  -cpu max,-la57,-smap,-smep -smp "$smp" -m "$mem"
  -kernel "$vmlinuz" -initrd "$work/initrd" -append "$args" -serial stdio)
[ -z "$out" ] || boot+=(-serial "file:$work/out")
[ $verbose = 0 ] || echo "guest.sh: ${boot[*]}" >&2

# A process group of its own, so that all of it can be ended at once.
SECONDS=0
mkfifo "$work/console"
set -m
"${boot[@]}" </dev/null >"$work/console" 2>&1 &
pid=$!
set +m
exec 3<"$work/console"
status=125 part=''
while [ $SECONDS -lt "$limit" ]; do
  if IFS= read -r -t $((limit - SECONDS)) -u 3 part; then
    line=${part%$'\r'}
    printf '%s\n' "$line"
    case $line in *'guest: exit '[0-9]*) status=${line##*guest: exit } ;; esac
    continue
  fi
  printf '%s' "$part"
  break
done
if [ $SECONDS -ge "$limit" ] && [ "$status" = 125 ]; then
  echo "guest.sh: stopped after $limit s" >&2
  status=124
fi

exit "$status"
