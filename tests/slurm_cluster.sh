#!/bin/sh
# A Slurm cluster of two nodes on this machine, without systemd: munged, slurmctld and two slurmd from Debian's
# packages (slurmctld, slurmd, slurm-client, munge), as root.
#
#   slurm_cluster.sh start FOLDER    everything below FOLDER; prints the settings of a shell that talks to it
#   slurm_cluster.sh stop FOLDER     ends what `start` started
#   slurm_cluster.sh controller FOLDER   starts slurmctld again, after it was killed
#   slurm_cluster.sh node FOLDER NAME    starts the slurmd of NAME (n1, n2) again
set -eu

verb=$1
folder=$2
host=$(hostname -s)
export SLURM_CONF=$folder/slurm.conf

port() {  # one that is free now
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

controller() {
    slurmctld -f "$SLURM_CONF"
}

node() {
    slurmd -f "$SLURM_CONF" -N "$1"
}

ended() {  # waits for the process in the file $1
    [ -f "$1" ] || return 0
    pid=$(cat "$1")
    kill "${2:--TERM}" "$pid" 2> /dev/null || return 0
    for _ in $(seq 50); do
        kill -0 "$pid" 2> /dev/null || return 0
        sleep 0.1
    done
    kill -KILL "$pid" 2> /dev/null || true
}

case $verb in
start)
    mkdir -p "$folder/state" "$folder/spool-n1" "$folder/spool-n2" "$folder/munge"
    chmod 755 "$folder"
    # Its own key and socket: another munged of this machine is left alone.
    chmod 700 "$folder/munge"
    head -c 1024 /dev/urandom > "$folder/munge/key"
    chmod 400 "$folder/munge/key"
    munged --force --key-file="$folder/munge/key" --socket="$folder/munge/socket" --pid-file="$folder/munge/pid" \
        --log-file="$folder/munge/log" --seed-file="$folder/munge/seed" --num-threads=1
    cat > "$SLURM_CONF" << END
ClusterName=archbench
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$(port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/munge/socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool-%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=100000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
KillWait=30
MinJobAge=300
ReturnToService=2
JobRequeue=1
RebootProgram=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=n1 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(port) CPUs=2 RealMemory=1000 State=UNKNOWN
NodeName=n2 NodeHostname=$host NodeAddr=127.0.0.1 Port=$(port) CPUs=2 RealMemory=1000 State=UNKNOWN
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP OverTimeLimit=0
END
    controller
    node n1
    node n2
    for _ in $(seq 100); do
        [ "$(sinfo -h -o %T 2> /dev/null)" = idle ] && break
        sleep 0.2
    done
    [ "$(sinfo -h -o %T)" = idle ] || { sinfo >&2; tail -5 "$folder"/*.log >&2; exit 1; }
    echo "SLURM_CONF=$SLURM_CONF"
    ;;
controller) controller ;;
node) node "$3" ;;
stop)
    scancel --user=root 2> /dev/null || true
    for name in slurmd-n1 slurmd-n2 slurmctld; do ended "$folder/$name.pid"; done
    ended "$folder/munge/pid"
    ;;
*)
    echo "usage: $0 start|stop|controller|node FOLDER [NAME]" >&2
    exit 2
    ;;
esac
