#!/bin/sh
# Stands in for the haproxy binary (RAY_SERVE_HAPROXY_BINARY_PATH), for starts and reloads alike. Ray Serve's template
# binds the statistics and metrics pages to all interfaces without a password; here they become Unix sockets beside the
# configuration, in a folder that only we may enter. Nobody listens to syslog on a laptop, so no log line is formatted. The
# list of routes, which HAProxy would give to anybody, goes on to the gateway, which asks for a key.
# setpriv makes haproxy die with the actor that started it: Ray leaves it behind otherwise, with the HTTP port.
for argument in "$@"; do
    case "$previous" in -f) config=$argument ;; esac
    previous=$argument
done
folder=${config%/*}
sed -E \
    -e "s#^([[:space:]]*bind[[:space:]]+)[*]?:([0-9]+)[[:space:]]*\$#\1unix@$folder/\2.sock mode 600#" \
    -e 's#^([[:space:]]*stats socket .*) mode 666 #\1 mode 600 #' \
    -e '/^[[:space:]]*log .* local0 info$/d' \
    -e '/^[[:space:]]*(acl routes |http-request .* if routes$)/d' \
    "$config" > "$config.private" && cat "$config.private" > "$config" || exit 1
if command -v setpriv > /dev/null && setpriv --pdeathsig KILL true 2> /dev/null; then
    exec setpriv --pdeathsig KILL "$BECOMING_ONE_HAPROXY" "$@"
fi
exec "$BECOMING_ONE_HAPROXY" "$@"
