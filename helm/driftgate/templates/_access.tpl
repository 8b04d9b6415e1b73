{{/* The account of a role, one for each: dict "root" "role". */}}
{{- define "driftgate.serviceAccount" -}}
{{- $account := .root.Values.serviceAccount -}}
{{- if not $account.create -}}
{{- required "serviceAccount.name is required where serviceAccount.create is false: name the account that the pods run as" $account.name -}}
{{- else if eq .role "serve" -}}
{{- $account.name | default (include "driftgate.name" .root) -}}
{{- else -}}
{{- printf "%s-%s" ($account.name | default (include "driftgate.name" .root)) .role -}}
{{- end -}}
{{- end }}

{{/* Who answers over HTTP. */}}
{{- define "driftgate.front" -}}
{{- ternary "serve" "api" (eq .Values.mode "serve") -}}
{{- end }}

{{/* Namespaces in which refresh Jobs are made under the pod's own account, as JSON. */}}
{{- define "driftgate.jobNamespaces" -}}
{{- $found := list -}}
{{- range .Values.config.destinations -}}
{{- if and (eq .type "kubernetes_job") (not .token_file) -}}
{{- $found = append $found (.namespace | default $.Release.Namespace) -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | toJson -}}
{{- end }}

{{/* Whether pods of a role need the token of their account: dict "root" "role". */}}
{{- define "driftgate.mountsToken" -}}
{{- and (eq .role (include "driftgate.decider" .root)) (include "driftgate.jobNamespaces" .root | fromJsonArray | empty | not) -}}
{{- end }}

{{/* All names under which the ingress is reached, as JSON. */}}
{{- define "driftgate.hosts" -}}
{{- $host := required "ingress.host is required where the ingress is enabled: the name under which people reach the console" .Values.ingress.host -}}
{{- prepend .Values.ingress.extraHosts $host | toJson -}}
{{- end }}

{{/* How Prometheus asks, under the job's name that the rules go by: dict "root" "interval". */}}
{{- define "driftgate.scrape" -}}
port: metrics
path: /metrics
interval: {{ .interval }}
authorization:
  type: Bearer
  credentials: {name: {{ include "driftgate.secret" .root | quote }}, key: metrics-token}
relabelings:
  - {action: replace, targetLabel: job, replacement: driftgate}
{{- end }}
