{{/* A StatefulSet's name and a hash make a label of 63 characters, so that 45 are left beside `-worker`. */}}
{{- define "driftgate.name" -}}
{{- $chart := .Values.nameOverride | default .Chart.Name -}}
{{- if .Values.fullnameOverride -}}{{ .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- else if contains $chart .Release.Name -}}{{ .Release.Name | trunc 45 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-%s" .Release.Name $chart | trunc 45 | trimSuffix "-" }}{{- end -}}
{{- end }}

{{- define "driftgate.selector" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "driftgate.labels" -}}
{{ include "driftgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* The roles that have pods of their own, as JSON. */}}
{{- define "driftgate.roles" -}}
{{ if eq .Values.mode "roles" }}["worker","controller","api"]{{ else }}["serve"]{{ end }}
{{- end }}

{{/* The role that decides and creates Jobs. */}}
{{- define "driftgate.decider" -}}
{{ ternary "controller" "serve" (eq .Values.mode "roles") }}
{{- end }}

{{/* Of one role: (dict "root" $ "role" "worker"). */}}
{{- define "driftgate.roleName" -}}
{{ include "driftgate.name" .root }}{{ if ne .role "serve" }}-{{ .role }}{{ end }}
{{- end }}

{{- define "driftgate.roleSelector" -}}
{{ include "driftgate.selector" .root }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "driftgate.roleLabels" -}}
{{ include "driftgate.labels" .root }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "driftgate.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}
{{- end -}}
{{- end }}

{{- define "driftgate.secret" -}}
{{- required (printf "existingSecret is required: it holds what the API and the metrics ask for. Make one with: kubectl -n %s create secret generic driftgate --from-literal=ingest-token=$(openssl rand -hex 32) --from-literal=metrics-token=$(openssl rand -hex 32), then --set existingSecret=driftgate" .Release.Namespace) .Values.existingSecret -}}
{{- end }}

{{/* The key of existingSecret behind a file of the configuration; empty where the file lies elsewhere. */}}
{{- define "driftgate.secretKey" -}}
{{- if hasPrefix "/etc/driftgate/secrets/" (. | default "") -}}{{ trimPrefix "/etc/driftgate/secrets/" . }}{{- end -}}
{{- end }}

{{/* "true" where what pods share lies in object storage. */}}
{{- define "driftgate.objectStorage" -}}
{{- if eq (dig "storage" "type" "directory" .Values.config) "s3" -}}true{{- end -}}
{{- end }}

{{/* Where others reach the API, as far as the chart knows it; empty where the configuration says it. */}}
{{- define "driftgate.publicUrl" -}}
{{- if not (dig "server" "public_url" "" .Values.config) -}}
{{- with .Values.ingress -}}{{- if and .enabled .host -}}{{ ternary "https" "http" .tls.enabled }}://{{ .host }}{{- end -}}{{- end -}}
{{- end -}}
{{- end }}

{{/* Of the configuration, what takes effect at a start only; the rest is read again when it changes, and restarts nothing. */}}
{{- define "driftgate.startsWith" -}}
{{ omit .Values.config "monitors" "destinations" "outbound" "budget" "teams" "policy" | toJson | sha256sum }}
{{- end }}
