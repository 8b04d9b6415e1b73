{{/* The pod of one role, as the template of its workload: (dict "root" $ "role" "worker"). */}}
{{- define "driftgate.pod" -}}
{{- $own := index .root.Values .role -}}
metadata:
  labels:
    {{- include "driftgate.roleSelector" . | nindent 4 }}
    app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
    {{- with .root.Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    checksum/config: {{ include "driftgate.startsWith" .root }}
    {{- with merge dict ($own.podAnnotations | default dict) .root.Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "driftgate.serviceAccount" . }}
  automountServiceAccountToken: {{ include "driftgate.mountsToken" . }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
  securityContext: {{- toYaml .root.Values.podSecurityContext | nindent 4 }}
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $own.priorityClassName | default .root.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with include "driftgate.initContainers" . | trim }}
  initContainers:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    - name: driftgate
      {{- include "driftgate.container" . | nindent 6 }}
      args: [{{ .role }}, --config, /etc/driftgate/config/driftgate.yaml]
      ports:
        - {name: http, containerPort: 8080, protocol: TCP}
        - {name: metrics, containerPort: 9464, protocol: TCP}
      # Until the models are loaded neither of the other two counts; a store that is waited for is no reason to start again.
      startupProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: {{ div (add .root.Values.startupSeconds 1) 2 }}
      # Fails when a loop has not turned for a minute, whatever the servers outside do.
      livenessProbe:
        httpGet: {path: /healthz, port: http}
        periodSeconds: 15
        timeoutSeconds: 5
        failureThreshold: 4
      readinessProbe:
        httpGet: {path: /readyz, port: http}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- if has .role (list "api" "serve") }}
      # Requests still come for a moment after the pod has been taken from its Service.
      lifecycle:
        preStop: {exec: {command: [sleep, "5"]}}
      {{- end }}
      resources: {{- toYaml $own.resources | nindent 8 }}
  volumes:
    {{- include "driftgate.volumes" . | trim | nindent 4 }}
  {{- if ne .role "serve" }}
  topologySpreadConstraints: {{- include "driftgate.spread" . | trim | nindent 4 }}
  {{- end }}
  {{- range $field := list "nodeSelector" "tolerations" "affinity" }}
  {{- with index $own $field | default (index $.root.Values $field) }}
  {{ $field }}: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
{{- end }}

{{/* What every container of the image has. */}}
{{- define "driftgate.container" -}}
image: {{ include "driftgate.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
env:
  {{- include "driftgate.env" . | nindent 2 }}
{{- with .root.Values.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "driftgate.confined" . | nindent 2 }}
volumeMounts:
  - {name: state, mountPath: /var/lib/driftgate}
  - {name: config, mountPath: /etc/driftgate/config, readOnly: true}
  - {name: secrets, mountPath: /etc/driftgate/secrets, readOnly: true}
  - {name: tmp, mountPath: /tmp}
  {{- if include "driftgate.models" .root }}
  - {name: embedders, mountPath: /var/lib/driftgate/embedders, readOnly: true{{ with .root.Values.models.image }}{{ if and .repository .volume }}, subPath: {{ trimAll "/" .path | quote }}{{ end }}{{ end }}}
  {{- end }}
  {{- if or .root.Values.caBundle.configMap .root.Values.caBundle.secret }}
  - {name: ca, mountPath: /etc/driftgate/ca, readOnly: true}
  {{- end }}
  {{- if .root.Values.jobTemplates }}
  - {name: jobs, mountPath: /etc/driftgate/jobs, readOnly: true}
  {{- end }}
  {{- with .root.Values.extraVolumeMounts }}{{ toYaml . | nindent 2 }}{{ end }}
{{- end }}

{{- define "driftgate.confined" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "driftgate.env" -}}
- {name: DRIFTGATE__DIRECTORY, value: /var/lib/driftgate}
- {name: DRIFTGATE__SERVER__HOST, value: "0.0.0.0"}
- {name: DRIFTGATE__SERVER__PORT, value: "8080"}
- {name: DRIFTGATE__SERVER__INGEST_TOKEN_FILE, value: /etc/driftgate/secrets/ingest-token}
- {name: DRIFTGATE__SERVER__METRICS_PORT, value: "9464"}
- {name: DRIFTGATE__SERVER__METRICS_TOKEN_FILE, value: /etc/driftgate/secrets/metrics-token}
{{- with include "driftgate.publicUrl" .root }}
- {name: DRIFTGATE__SERVER__PUBLIC_URL, value: {{ . | quote }}}
{{- end }}
{{- if and .root.Values.config.kafka (or (eq .role "serve") (and (eq .role "worker") (eq .root.Values.worker.kind "StatefulSet"))) }}
# A worker that comes back under its name finds its partitions where it left them.
- name: DRIFTGATE__KAFKA__INSTANCE
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- if or .root.Values.caBundle.configMap .root.Values.caBundle.secret }}
- {name: SSL_CERT_FILE, value: /etc/driftgate/ca/ca.crt}
- {name: REQUESTS_CA_BUNDLE, value: /etc/driftgate/ca/ca.crt}
{{- end }}
{{- with .root.Values.proxy }}
{{- if .url }}
- {name: DRIFTGATE__OUTBOUND__PROXY, value: {{ .url | quote }}}
{{- if .credentialsKey }}
- {name: DRIFTGATE__OUTBOUND__PROXY_CREDENTIALS_FILE, value: {{ printf "/etc/driftgate/secrets/%s" .credentialsKey | quote }}}
{{- end }}
# For what opens connections of its own: Apprise, and object storage.
- {name: HTTPS_PROXY, value: {{ .url | quote }}}
- {name: HTTP_PROXY, value: {{ .url | quote }}}
- {name: NO_PROXY, value: {{ include "driftgate.noProxy" $.root | quote }}}
{{- end }}
{{- end }}
{{- with concat .root.Values.env ((index .root.Values .role).env | default list) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What is reached without the proxy: the cluster's own, and where clouds tell a pod who it is. */}}
{{- define "driftgate.noProxy" -}}
{{- $own := list "localhost" "127.0.0.1" "::1" ".svc" ".cluster.local" -}}
{{- $cloud := list "169.254.169.254" "169.254.170.2" "169.254.170.23" "fd00:ec2::254" "fd00:ec2::23" -}}
{{- concat $own $cloud .Values.proxy.noProxy | join "," -}}
{{- end }}

{{/* "true" where embedders come from somewhere of their own. */}}
{{- define "driftgate.models" -}}
{{- with .Values.models -}}{{- if or .build .existingClaim .image.repository -}}true{{- end -}}{{- end -}}
{{- end }}

{{- define "driftgate.modelsImage" -}}
{{- with .Values.models.image -}}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}{{- end -}}
{{- end }}

{{- define "driftgate.initContainers" -}}
{{- $models := .root.Values.models }}
{{- if $models.build }}
- name: build-embedder
  image: {{ include "driftgate.image" .root | quote }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [model, build, {{ $models.build }}, --output, /embedders/{{ $models.build }}/model.onnx]
  securityContext: {{- include "driftgate.confined" . | nindent 4 }}
  resources:
    requests: {cpu: 100m, memory: 512Mi}
    limits: {memory: 1Gi}
  volumeMounts:
    - {name: embedders, mountPath: /embedders}
    - {name: tmp, mountPath: /tmp}
{{- else if and $models.image.repository (not $models.image.volume) }}
- name: copy-embedders
  image: {{ include "driftgate.modelsImage" .root | quote }}
  command: [cp, -r, "{{ trimSuffix "/" $models.image.path }}/.", /embedders/]
  securityContext: {{- include "driftgate.confined" . | nindent 4 }}
  resources:
    requests: {cpu: 50m, memory: 64Mi}
    limits: {memory: 256Mi}
  volumeMounts:
    - {name: embedders, mountPath: /embedders}
{{- end }}
{{- with .root.Values.initContainers }}
{{ toYaml . }}
{{- end }}
{{- if and .root.Values.doctor.enabled (eq .role (include "driftgate.decider" .root)) }}
- name: doctor
  {{- include "driftgate.container" . | nindent 2 }}
  args: [doctor, --config, /etc/driftgate/config/driftgate.yaml{{ if not .root.Values.doctor.strict }}, --exit-zero{{ end }}]
  resources: {{- toYaml (index .root.Values .role).resources | nindent 4 }}
{{- end }}
{{- end }}

{{- define "driftgate.volumes" -}}
{{- $persistence := .root.Values.persistence }}
{{- if include "driftgate.objectStorage" .root }}
- name: state
  emptyDir: {sizeLimit: {{ $persistence.cacheSize }}}
{{- else if $persistence.existingClaim }}
- name: state
  persistentVolumeClaim: {claimName: {{ $persistence.existingClaim }}}
{{- else if ne .role "serve" }}
- name: state
  persistentVolumeClaim: {claimName: {{ include "driftgate.name" .root }}}
{{- end }}
- name: config
  configMap: {name: {{ include "driftgate.name" .root }}, items: [{key: driftgate.yaml, path: driftgate.yaml}]}
- name: secrets
  secret: {secretName: {{ (index .root.Values .role).existingSecret | default (include "driftgate.secret" .root) | quote }}, defaultMode: 0440}
- name: tmp
  emptyDir: {sizeLimit: 1Gi}
{{- with .root.Values.models }}
{{- if .existingClaim }}
- name: embedders
  persistentVolumeClaim: {claimName: {{ .existingClaim }}, readOnly: true}
{{- else if and .image.repository .image.volume }}
- name: embedders
  image: {reference: {{ include "driftgate.modelsImage" $.root | quote }}, pullPolicy: {{ $.root.Values.image.pullPolicy }}}
{{- else if or .build .image.repository }}
- name: embedders
  emptyDir: {sizeLimit: {{ .size }}}
{{- end }}
{{- end }}
{{- with .root.Values.caBundle }}
{{- if .configMap }}
- name: ca
  configMap: {name: {{ .configMap }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- else if .secret }}
- name: ca
  secret: {secretName: {{ .secret }}, defaultMode: 0440, items: [{key: {{ .key | quote }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- if .root.Values.jobTemplates }}
- name: jobs
  configMap: {name: {{ include "driftgate.name" .root }}-jobs}
{{- end }}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Over zones and hosts as well as it goes, unless the role says otherwise. */}}
{{- define "driftgate.spread" -}}
{{- with (index .root.Values .role).topologySpreadConstraints -}}
{{ toYaml . }}
{{- else -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "driftgate.roleSelector" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* As many as there are, where something else scales them: a number that an upgrade leaves out falls to 1. Nothing where no cluster can be
asked (`helm template`): what applies that leaves the number as it is. (dict "root" $ "role" "api" "kind" "Deployment"). */}}
{{- define "driftgate.scaled" -}}
{{- with lookup "apps/v1" .kind .root.Release.Namespace (include "driftgate.roleName" .) -}}
replicas: {{ .spec.replicas }}
{{- end -}}
{{- end }}
