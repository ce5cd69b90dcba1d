# shellcheck shell=bash disable=SC2154
# What the tests of the images, the manifests, the mesh and docker-compose.yml start: real servers of others, from Debian's
# packages where it has them in a fitting version, else as Go programs.

# need_programs WHY PROGRAM=PACKAGE…: installs the packages of those programs that are missing.
need_programs() {
    local why=$1 pair missing=()
    shift
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    if [ "${#missing[@]}" -gt 0 ]; then
        # The packages' own services are not wanted: each test starts what it needs, on ports of its own.
        RUNLEVEL=1 install_packages "$why" "${missing[@]}"
    fi
}

find_image_tools() {
    go_programs registry "crane, which pushes images" crane=github.com/google/go-containerregistry/cmd/crane
}

find_registry() {
    need_programs "The tests of the images need a registry and a second tool that pulls" docker-registry=docker-registry skopeo=skopeo
}

find_kubernetes() {
    need_programs "The tests of the manifests need etcd" etcd=etcd-server
    go_programs kubernetes "kube-apiserver and kubectl (takes some minutes)" \
        kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver kubectl=k8s.io/kubernetes/cmd/kubectl
    find_istio_files
    go_programs istio "istioctl (takes some minutes)" istioctl=istio.io/istio/istioctl/cmd/istioctl
}

find_istio() {
    need_programs "The test mesh needs network namespaces and iptables" ip=iproute2 iptables=iptables
    go_programs istio "istiod and its agent (takes some minutes)" \
        pilot-discovery=istio.io/istio/pilot/cmd/pilot-discovery pilot-agent=istio.io/istio/pilot/cmd/pilot-agent
}

# The bootstrap template of the sidecars and the custom resource definitions, out of the very module.
find_istio_files() {
    local source file module=$root/tools/go/istio/go.mod
    if [ -f "$tools/istio/envoy_bootstrap.json" ] && cmp -s "$module" "$tools/istio/of"; then return; fi
    find_go
    source=$(cd "$root/tools/go/istio" && retried "$go" mod download istio.io/istio && "$go" list -m -f '{{.Dir}}' istio.io/istio) ||
        fail "Go can't say where Istio's source is; run 'go mod download' in tools/go/istio, then run this again."
    mkdir -p "$tools/istio"
    for file in tools/packaging/common/envoy_bootstrap.json manifests/charts/base/files/crd-all.gen.yaml; do
        install -m 644 "$source/$file" "$tools/istio/" || fail "Istio's module has no $file; see tools/go/istio/go.mod for its version."
    done
    cp "$module" "$tools/istio/of"
}

find_jaeger() {
    go_programs jaeger "Jaeger (takes some minutes)" jaeger=github.com/jaegertracing/jaeger/cmd/jaeger
}

# Limits of `scope: fleet` are counted by the real ones.
find_rate_limit_service() {
    need_programs "The tests of limits that proxies share need Redis" redis-server=redis-server redis-cli=redis-tools
    go_programs ratelimit "the rate-limit service" ratelimit=github.com/envoyproxy/ratelimit/src/service_cmd
}

find_compose_services() {
    need_programs "The test of docker-compose.yml needs Docker Engine and docker-compose" \
        dockerd=docker.io docker-compose=docker-compose
    need_programs "The test of docker-compose.yml needs Prometheus" prometheus=prometheus
    find_rate_limit_service
    # The other version that docker-compose.yml is for.
    go_programs compose "Docker Compose v2 (takes some minutes)" docker-compose-v2=github.com/docker/compose/v2/cmd
    find_jaeger
}
