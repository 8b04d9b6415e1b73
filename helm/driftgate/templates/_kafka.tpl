{{/* The topics that workers read, each with where a new group begins, as JSON. */}}
{{- define "driftgate.kafkaTopics" -}}
{{- $found := dict -}}
{{- range .Values.config.monitors -}}
{{- with .topic -}}
{{- $latest := eq (toString (.start | default "earliest")) "latest" -}}
{{- $_ := set $found .name (ternary "latest" "earliest" (and $latest (ne (get $found .name) "earliest"))) -}}
{{- end -}}
{{- end -}}
{{- $ingest := ternary .Values.config.kafka.ingest_topic "driftgate-ingest" (hasKey .Values.config.kafka "ingest_topic") -}}
{{- with $ingest -}}{{- $_ := set $found . "earliest" -}}{{- end -}}
{{- with .Values.worker.keda.topics -}}
{{- $named := dict -}}
{{- range . -}}{{- $_ := set $named . (get $found . | default "earliest") -}}{{- end -}}
{{- $found = $named -}}
{{- end -}}
{{- if not $found -}}
{{- fail "worker.keda: no topic to go by; name them in worker.keda.topics, or declare monitors with a topic, or a kafka.ingest_topic" -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{/* What the brokers ask for that is secret or trusted: KEDA's name for it, and the file that the configuration names; as JSON. */}}
{{- define "driftgate.kafkaSecrets" -}}
{{- $kafka := .Values.config.kafka -}}
{{- $found := dict -}}
{{- if $kafka.sasl -}}{{- $_ := set $found "password" ($kafka.sasl.password_file | default "") -}}{{- end -}}
{{- range $parameter, $field := dict "ca" "ca_file" "cert" "certificate_file" "key" "key_file" -}}
{{- with get ($kafka.tls | default dict) $field -}}{{- $_ := set $found $parameter . -}}{{- end -}}
{{- end -}}
{{- toJson $found -}}
{{- end }}

{{/* "true" where the brokers ask who KEDA is, or it has to be told whom to trust. */}}
{{- define "driftgate.kafkaAuthenticates" -}}
{{- include "driftgate.kafkaSecrets" . | fromJson | empty | not -}}
{{- end }}

{{- define "driftgate.kafkaSecretKey" -}}
{{- include "driftgate.secretKey" . | required (printf "worker.keda: %q is not below /etc/driftgate/secrets, so KEDA can't be given it; put it into existingSecret, or name a TriggerAuthentication of your own (worker.keda.authentication)" .) -}}
{{- end }}

{{/* Who workers are to the brokers. */}}
{{- define "driftgate.kafkaUser" -}}
{{- $user := "" -}}
{{- with .Values.config.kafka -}}{{- with .sasl -}}{{- $user = .user -}}{{- end -}}{{- end -}}
{{- range concat .Values.env .Values.worker.env -}}
{{- if eq .name "DRIFTGATE__KAFKA__SASL__USER" -}}{{- $user = .value -}}{{- end -}}
{{- end -}}
{{- $user | default "" -}}
{{- end }}
