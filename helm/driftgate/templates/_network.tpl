{{/* Ports that a role connects to for a purpose, as JSON: those that are given, else those that the configuration names; [] where it has
no such purpose: dict "root" "role" "need". */}}
{{- define "driftgate.egressPorts" -}}
{{- $named := include (printf "driftgate.%sPorts" .need) . | fromJsonArray -}}
{{- $given := dig .need "ports" list .root.Values.networkPolicy.egress -}}
{{- ternary (ternary $given $named (gt (len $given) 0)) list (gt (len $named) 0) | uniq | toJson -}}
{{- end }}

{{- define "driftgate.dnsPorts" -}}[53]{{- end }}

{{- define "driftgate.kafkaPorts" -}}
{{- $ports := list -}}
{{- range (.root.Values.config.kafka | default dict).brokers -}}
{{- $ports = append $ports (regexFind "[0-9]+$" . | default "9092" | int) -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end }}

{{/* Sentinels say where the primary is: its port is 6379 unless networkPolicy.egress.redis.ports says otherwise. */}}
{{- define "driftgate.redisPorts" -}}
{{- $redis := .root.Values.config.redis | default dict -}}
{{- $ports := list -}}
{{- with $redis.url -}}{{- $ports = append $ports (include "driftgate.portOf" (list . 6379) | int) -}}{{- end -}}
{{- range $redis.sentinels -}}{{- $ports = append $ports (regexFind "[0-9]+$" . | default "26379" | int) -}}{{- end -}}
{{- if $redis.sentinels -}}{{- $ports = append $ports 6379 -}}{{- end -}}
{{- $ports | toJson -}}
{{- end }}

{{- define "driftgate.storagePorts" -}}
{{- $storage := dig "storage" dict .root.Values.config -}}
{{- if eq (dig "type" "directory" $storage) "s3" -}}
{{- list (include "driftgate.portOf" (list ($storage.endpoint | default "https://s3") 443) | int) | toJson -}}
{{- else -}}[]{{- end -}}
{{- end }}

{{- define "driftgate.destinationsPorts" -}}
{{- $ports := list -}}
{{- range .root.Values.config.destinations -}}
{{- if has .type (list "pagerduty" "slack" "apprise") -}}{{- $ports = append $ports 443 -}}{{- end -}}
{{- range compact (prepend (.urls | default list) .url) -}}
{{- $ports = append $ports (include "driftgate.portOf" (list . 443) | int) -}}
{{- end -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end }}

{{- define "driftgate.kubernetesPorts" -}}
{{- ternary (list 443 6443) list (eq (include "driftgate.mountsToken" .) "true") | toJson -}}
{{- end }}

{{/* For what leaves over HTTP: deliveries, and object storage. */}}
{{- define "driftgate.proxyPorts" -}}
{{- $ports := list -}}
{{- $leaves := or (has .role (list "serve" "controller")) (ne (include "driftgate.storagePorts" .) "[]") -}}
{{- if and .root.Values.proxy.url $leaves -}}
{{- $ports = append $ports (include "driftgate.portOf" (list .root.Values.proxy.url 3128) | int) -}}
{{- end -}}
{{- $ports | toJson -}}
{{- end }}

{{/* Of an address: the port that it names, else that of its scheme, else the one that is given. */}}
{{- define "driftgate.portOf" -}}
{{- $address := urlParse (first .) -}}
{{- $said := regexFind ":[0-9]+$" $address.host | trimPrefix ":" -}}
{{- if $said -}}{{ $said }}
{{- else if eq $address.scheme "http" -}}80
{{- else if eq $address.scheme "https" -}}443
{{- else -}}{{ last . }}
{{- end -}}
{{- end }}
