#!/bin/sh
# Installs this release of clustd. May be run again and again: it replaces the program and the units, and leaves configuration and state alone.
#
#   ./install.sh [--prefix DIR] [--config FILE] [--units DIR | --no-units]
#
#   --prefix DIR    where the program goes; default: /usr/local as root, else ~/.local
#   --config FILE   the configuration that the units name; default: /etc/clustd/config.yml as root, else ~/.config/clustd/config.yml
#   --units DIR     where the systemd units go; default: /etc/systemd/system as root, else ~/.config/systemd/user, if systemd runs here
#   --no-units      no units
set -eu

here=$(cd "$(dirname "$0")" && pwd)
is_root=false
[ "$(id -u)" -ne 0 ] || is_root=true
if $is_root; then
    prefix=/usr/local config=/etc/clustd/config.yml units=/etc/systemd/system systemctl=systemctl
else
    : "${HOME:?Cannot install: HOME names no directory of yours. Set it, or run this as root.}"
    prefix=$HOME/.local config=${XDG_CONFIG_HOME:-$HOME/.config}/clustd/config.yml units=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user systemctl='systemctl --user'
fi
asked_units=''

fail() { printf 'error: %s\n' "$1" >&2; exit "${2:-1}"; }

while [ $# -gt 0 ]; do
    case "$1" in
        --prefix | --config | --units)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "Cannot install: $1 says nothing. Write $1 and a path." 2
            case "$2" in
                *[!A-Za-z0-9_./@:+-]*) fail "Cannot install to '$2': units and scripts would have to quote it. Choose a path of letters, digits and _./@:+-." 2 ;;
                /*) path=$2 ;;
                *) path=$(pwd)/$2 ;;
            esac
            case "$1" in --prefix) prefix=$path ;; --config) config=$path ;; --units) units=$path asked_units=yes ;; esac
            shift 2
            ;;
        --no-units) asked_units=no; shift ;;
        -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0"; exit 0 ;;
        *) fail "Cannot install: '$1' is no option. See $0 --help." 2 ;;
    esac
done
[ -x "$here/clustd" ] && [ -f "$here/libe_sqlite3.so" ] || fail "Cannot install: clustd and libe_sqlite3.so are not beside this script. Unpack the whole release and run it there."

# Whether it runs here at all (architecture, C library), before anything is replaced.
version=$("$here/clustd" version 2> /dev/null) || fail 'Cannot install: this build of clustd does not run on this machine. It needs Linux of the architecture in its name with glibc 2.34 or later (Debian 12, Ubuntu 22.04, RHEL 9).'
if command -v ldconfig > /dev/null 2>&1 || [ -x /sbin/ldconfig ]; then
    PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2> /dev/null | grep -q 'libssl\.so\.\(3\|1\.1\)' \
        || printf 'warning: OpenSSL (libssl.so.3) is not installed here: machines talk through it. Install it (Debian: `apt-get install libssl3`).\n' >&2
fi

# A file that is replaced while it runs is written beside it and renamed: the running process keeps what it has.
put() { # MODE FROM TO
    mkdir -p "$(dirname "$3")"
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f "$3.new" "$3"
}

put 755 "$here/clustd" "$prefix/lib/clustd/clustd"
put 644 "$here/libe_sqlite3.so" "$prefix/lib/clustd/libe_sqlite3.so"
mkdir -p "$prefix/bin"
ln -sfn ../lib/clustd/clustd "$prefix/bin/clustd"
for file in README.md LICENSE config.example.yml; do put 644 "$here/$file" "$prefix/share/doc/clustd/$file"; done
[ ! -f "$here/completion/bash" ] || put 644 "$here/completion/bash" "$prefix/share/bash-completion/completions/clustd"
[ ! -f "$here/completion/zsh" ] || put 644 "$here/completion/zsh" "$prefix/share/zsh/site-functions/_clustd"
[ ! -f "$here/completion/fish" ] || put 644 "$here/completion/fish" "$prefix/share/fish/vendor_completions.d/clustd.fish"
printf '%s is installed: %s\n' "$version" "$prefix/bin/clustd"

is_systemd=false
[ ! -d /run/systemd/system ] || is_systemd=true
if [ "$asked_units" = no ] || { [ -z "$asked_units" ] && ! $is_systemd; }; then
    printf 'No systemd units were installed. Write %s, then: %s run --config %s\n' "$config" "$prefix/bin/clustd" "$config"
    exit 0
fi

account=''
if $is_root && $is_systemd; then
    # The daemon needs no privileges. The drivers keep root's: they may start apps as other users.
    if ! getent passwd clustd > /dev/null; then
        useradd --system --user-group --no-create-home --home-dir /var/lib/clustd --shell /usr/sbin/nologin clustd \
            || fail 'Cannot create the user clustd that the daemon runs as: useradd failed, see above. Create it and run this again.'
    fi
    account=clustd
    mkdir -p "$(dirname "$config")"
    [ ! -f "$config" ] || { chgrp clustd "$config" && chmod u=rw,g=r,o= "$config"; }
fi
mkdir -p "$units"
for unit in clustd clustd-drivers; do
    user='' capabilities=''
    if [ -n "$account" ]; then
        user="User=$account"
        # A port below 1024, and nothing else.
        capabilities='CapabilityBoundingSet=CAP_NET_BIND_SERVICE CAP_SYS_NICE
AmbientCapabilities=CAP_NET_BIND_SERVICE CAP_SYS_NICE'
    fi
    # awk and not sed: what is put in may have several lines.
    prefix=$prefix config=$config user=$user capabilities=$capabilities awk '{
        gsub(/@PREFIX@/, ENVIRON["prefix"]); gsub(/@CONFIG@/, ENVIRON["config"])
        gsub(/@DAEMON_USER@/, ENVIRON["user"]); gsub(/@CAPABILITIES@/, ENVIRON["capabilities"]); print
    }' "$here/systemd/$unit.service" > "$units/$unit.service.new"
    # A manager of one user may not give priorities, devices or capabilities away, and refuses a unit that asks for them.
    if ! $is_root; then
        sed -i -e '/^\(Limit\|OOMScoreAdjust\|Private\|Protect\|Restrict\|NoNew\|Lock\|MemoryDeny\|SystemCall\|Delegate\|OOMPolicy\)/d' \
            -e 's/multi-user\.target/default.target/' -e 's/network-online\.target //' "$units/$unit.service.new"
    fi
    chmod 644 "$units/$unit.service.new"
    mv -f "$units/$unit.service.new" "$units/$unit.service"
done
if $is_systemd && [ -z "${asked_units%yes}" ]; then $systemctl daemon-reload 2> /dev/null || true; fi
printf 'The systemd units are in %s.\n' "$units"
if [ -f "$config" ]; then
    printf 'Next: %s check --config %s && %s enable --now clustd (and clustd-drivers, if the file lists drivers)\n' "$prefix/bin/clustd" "$config" "$systemctl"
else
    printf 'Next: write %s (%s is an example), then %s enable --now clustd (and clustd-drivers, if the file lists drivers)\n' "$config" "$prefix/share/doc/clustd/config.example.yml" "$systemctl"
fi
