#!/usr/bin/env bash
# The sidecar under load, beside an nginx that answers 204 by itself, in one run:
# requests a second, p50, p99, and memory. Needs nginx, wrk and Go.
#
#	bench/sidecar.sh [seconds]
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-10}
connections=${CONNECTIONS:-32}
for program in nginx wrk go; do
	command -v "$program" >/dev/null || { echo "$program is missing" >&2; exit 2; }
done

dir=$(mktemp -d)
pids=()
cleanup() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT

go build -o "$dir/persauth" ./cmd/persauth
"$dir/persauth" mock --addr 127.0.0.1:18787 >"$dir/mock.txt" 2>/dev/null &
pids+=($!)
business=b0000000-0000-4000-8000-000000000001
cat >"$dir/sidecar.yaml" <<END
proxy: nginx
addr: 127.0.0.1:18180
metricsAddr: 127.0.0.1:18181
pers: {baseURL: "http://127.0.0.1:18787"}
routes:
  - {methods: [GET], path: /empty, authenticated: true}
  - {methods: [GET], path: "/businesses/{business}/orders", business: {path: business}, businessRoles: [ADMIN]}
END
for _ in $(seq 100); do
	key=$(sed -n 's/.*PERS_PROJECT_KEY=//p' "$dir/mock.txt")
	[ -n "$key" ] && break
	sleep 0.05
done
PERS_PROJECT_KEY=$key "$dir/persauth" serve --config "$dir/sidecar.yaml" 2>"$dir/sidecar.log" &
sidecar=$!
pids+=("$sidecar")

mkdir "$dir/files"
: >"$dir/files/empty"
chmod 755 "$dir" "$dir/files"
cat >"$dir/nginx.conf" <<END
daemon off;
worker_processes auto;
pid $dir/nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path $dir/a; proxy_temp_path $dir/b; fastcgi_temp_path $dir/c; uwsgi_temp_path $dir/d; scgi_temp_path $dir/e;
	keepalive_requests 1000000000;
	upstream persauth { server 127.0.0.1:18180; keepalive 64; keepalive_requests 1000000000; }
	server {
		listen 127.0.0.1:18000;
		root $dir/files;
		location = /204 { return 204; }
		location = /plain/empty { alias $dir/files/empty; }
		location = /empty { auth_request /_persauth; }
		location = /_persauth {
			internal;
			proxy_pass http://persauth/auth;
			proxy_set_header X-Original-Method \$request_method;
			proxy_set_header X-Original-URI \$request_uri;
			proxy_pass_request_body off;
			proxy_set_header Content-Length "";
			proxy_set_header Connection "";
			proxy_http_version 1.1;
		}
	}
}
END
nginx -p "$dir" -e stderr -c "$dir/nginx.conf" 2>"$dir/nginx.log" &
nginx=$!
pids+=("$nginx")

token=$("$dir/persauth" mint --type business --business "$business" --role ADMIN)
orders=(-H "Authorization: Bearer $token" -H 'X-Original-Method: GET' -H "X-Original-URI: /businesses/$business/orders")

# expect STATUS URL [header …]: what is measured is the answer that is meant.
expect() {
	local want=$1 url=$2 got
	shift 2
	for _ in $(seq 100); do
		got=$(curl -s -o /dev/null -w '%{http_code}' "$@" "$url") || true
		[ "$got" = "$want" ] && return
		sleep 0.1
	done
	echo "$url answers $got, not $want" >&2
	cat "$dir"/*.log >&2
	exit 1
}

rss() { # of a process and its children, in MiB
	local sum=0 pid kb
	for pid in "$1" $(cat "/proc/$1/task/"*/children); do
		kb=$(sed -n 's/VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status")
		sum=$((sum + kb))
	done
	echo $((sum / 1024))
}

# load NAME PID STATUS URL [header …]
load() {
	local name=$1 pid=$2 want=$3 url=$4
	shift 4
	expect "$want" "$url" "$@"
	wrk -t1 -c"$connections" -d2s "$@" "$url" >/dev/null # warm
	wrk -t1 -c"$connections" -d"${seconds}s" --latency "$@" "$url" >"$dir/wrk.txt"
	if grep -q 'Non-2xx' "$dir/wrk.txt"; then
		echo "$name: some answers were not 2xx" >&2
		cat "$dir/wrk.txt" >&2
		exit 1
	fi
	printf '%-44s %10s req/s   p50 %8s   p99 %8s   %4s MiB\n' "$name" \
		"$(awk '/Requests\/sec/ {print $2}' "$dir/wrk.txt")" "$(awk '$1 == "50%" {print $2}' "$dir/wrk.txt")" \
		"$(awk '$1 == "99%" {print $2}' "$dir/wrk.txt")" "$(rss "$pid")"
}

echo "$(nproc) cores, $connections connections, $seconds s each; memory is the peak so far"
load 'nginx, 204' "$nginx" 204 http://127.0.0.1:18000/204
load 'sidecar, allowed by role' "$sidecar" 200 http://127.0.0.1:18180/auth "${orders[@]}"
load 'nginx, an empty file' "$nginx" 200 http://127.0.0.1:18000/plain/empty
load 'nginx, the same with auth_request' "$nginx" 200 http://127.0.0.1:18000/empty -H "Authorization: Bearer $token"
echo "sidecar after that: $(rss "$sidecar") MiB"
