#!/bin/sh
# A real server of S3's protocol on this machine: Ceph's gateway with one monitor and one disk in memory, from Debian's
# packages (radosgw, ceph-mon, ceph-osd, ceph-common), without systemd.
#
#   s3_server.sh start FOLDER    everything below FOLDER; prints the settings of a shell whose tests use it
#   s3_server.sh stop FOLDER     ends what `start` started
set -eu

verb=$1
folder=$2
conf=$folder/ceph.conf

port() {  # one that is free now
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

uuid() {
    python3 -c 'import uuid; print(uuid.uuid4())'
}

case $verb in
start)
    mkdir -p "$folder/mon" "$folder/osd" "$folder/rgw"
    fsid=$(uuid)
    monitor=$(port)
    gateway=$(port)
    cat > "$conf" << END
[global]
fsid = $fsid
mon host = v1:127.0.0.1:$monitor
ms bind msgr2 = false
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
run dir = $folder
admin socket = $folder/\$name.asok
pid file = $folder/\$name.pid
log file = $folder/\$name.log
crash dir = $folder
mon data = $folder/mon
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail crit = 1
osd data = $folder/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd crush chooseleaf type = 0
mon max pg per osd = 1000
rgw data = $folder/rgw
END
    monmaptool --create --fsid "$fsid" --addv a "[v1:127.0.0.1:$monitor]" "$folder/monmap" > /dev/null
    ceph-mon -c "$conf" -i a --mkfs --monmap "$folder/monmap"
    ceph-mon -c "$conf" -i a
    disk=$(uuid)
    ceph -c "$conf" osd new "$disk" > /dev/null
    ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$disk" > /dev/null 2>&1
    ceph-osd -c "$conf" -i 0 > /dev/null 2>&1
    radosgw-admin -c "$conf" user create --uid=tests --display-name=tests --access-key=tests --secret-key=tests-secret \
        > /dev/null
    radosgw -c "$conf" -n client.rgw --rgw-frontends="beast endpoint=127.0.0.1:$gateway"
    for _ in $(seq 100); do
        curl -s -o /dev/null "http://127.0.0.1:$gateway" && break
        sleep 0.2
    done
    curl -s -o /dev/null "http://127.0.0.1:$gateway" || { tail -5 "$folder"/*.log >&2; exit 1; }
    echo "export ARCHBENCH_TEST_S3=http://127.0.0.1:$gateway"
    echo "export AWS_ACCESS_KEY_ID=tests AWS_SECRET_ACCESS_KEY=tests-secret AWS_DEFAULT_REGION=us-east-1"
    ;;
stop)
    for name in client.rgw osd.0 mon.a; do
        [ -f "$folder/$name.pid" ] || continue
        pid=$(cat "$folder/$name.pid")
        kill "$pid" 2> /dev/null || continue
        for _ in $(seq 100); do
            kill -0 "$pid" 2> /dev/null || break
            sleep 0.1
        done
        kill -KILL "$pid" 2> /dev/null || true
    done
    ;;
*)
    echo "usage: $0 start|stop FOLDER" >&2
    exit 2
    ;;
esac
