{{/* What would fail later, or quietly do something else, is said before anything is installed. */}}
{{- define "driftgate.check" -}}
{{- if not (has .Values.mode (list "serve" "roles")) -}}
{{- fail (printf "mode is %q: choose serve (one pod) or roles (workers, controllers and the API over Kafka and Redis)" .Values.mode) -}}
{{- end -}}
{{- include "driftgate.checkOwn" . -}}
{{- include "driftgate.checkConfig" . -}}
{{- if eq .Values.mode "roles" -}}{{- include "driftgate.checkRoles" . -}}{{- else -}}{{- include "driftgate.checkServe" . -}}{{- end -}}
{{- if include "driftgate.objectStorage" . -}}{{- include "driftgate.checkCopies" . -}}{{- end -}}
{{- include "driftgate.checkGrace" . -}}
{{- if gt (len (compact (list .Values.models.build .Values.models.existingClaim .Values.models.image.repository))) 1 -}}
{{- fail "models: give one of build, existingClaim and image" -}}
{{- end -}}
{{- if and .Values.models.image.repository (not (or .Values.models.image.tag .Values.models.image.digest)) -}}
{{- fail "models.image: give a tag or a digest, so that every pod has the same model" -}}
{{- end -}}
{{- if and .Values.caBundle.configMap .Values.caBundle.secret -}}
{{- fail "caBundle: give either configMap or secret" -}}
{{- end -}}
{{- end }}

{{- define "driftgate.checkOwn" -}}
{{- if hasKey .Values.config "directory" -}}
{{- fail "config.directory: the chart sets it (/var/lib/driftgate, where the volume is)" -}}
{{- end -}}
{{- range list "host" "port" "ingest_token_file" "metrics_port" "metrics_host" "metrics_token_file" -}}
{{- if hasKey ($.Values.config.server | default dict) . -}}{{- fail (printf "config.server.%s: the chart sets it" .) -}}{{- end -}}
{{- end -}}
{{- if hasKey (.Values.config.kafka | default dict) "instance" -}}
{{- fail "config.kafka.instance: the chart sets it, to each pod's own name" -}}
{{- end -}}
{{- range list "name" "instance" "component" "version" -}}
{{- $label := printf "app.kubernetes.io/%s" . -}}
{{- if hasKey $.Values.podLabels $label -}}{{- fail (printf "podLabels: the chart sets %s, and workloads find their pods by it" $label) -}}{{- end -}}
{{- end -}}
{{- end }}

{{/* What the configuration names is there; else the program says so, but only in its pod. */}}
{{- define "driftgate.checkConfig" -}}
{{- $known := list -}}
{{- range .Values.config.destinations -}}{{- $known = append $known .name -}}{{- end -}}
{{- range append (.Values.config.monitors | default list) (dig "policy" "defaults" dict .Values.config) -}}
{{- $monitor := hasKey . "name" | ternary (printf "monitor %s" .name) "config.policy.defaults" -}}
{{- $refresh := dig "refresh" "destination" "" . -}}
{{- range concat (.notify | default list) (list (dig "annotation" "destination" "" .)) (kindIs "slice" $refresh | ternary $refresh (list $refresh)) | compact -}}
{{- if not (has . $known) -}}
{{- fail (printf "%s: destination %q is not declared in config.destinations; known: %s" $monitor . (join ", " $known | default "none")) -}}
{{- end -}}
{{- end -}}
{{- with dig "embedder" "model" "" . -}}
{{- if not (isAbs .) -}}
{{- fail (printf "%s: embedder.model %q is relative, and nothing lies beside the configuration; name it by its whole path, as /var/lib/driftgate/embedders/minilm/model.onnx (models.build: minilm)" $monitor .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* With object storage the pods' own disks go with them. */}}
{{- define "driftgate.checkCopies" -}}
{{- range .Values.config.destinations -}}
{{- if and (eq .type "folder") (hasPrefix "/var/lib/driftgate/" .path) -}}
{{- fail (printf "config.destinations: %s writes to %s, which with config.storage.type s3 goes with the pod; give it a path on a volume of yours (extraVolumes, extraVolumeMounts) or another type, or leave it out (config.destinations: [])" .name .path) -}}
{{- end -}}
{{- end -}}
{{- $cached := dig "storage" "cache_bytes" 10000000000 .Values.config | float64 -}}
{{- if lt (include "driftgate.bytes" .Values.persistence.cacheSize | float64) (addf $cached 2000000000) -}}
{{- fail (printf "persistence.cacheSize is %s: it must be 2 GB more than the %.0f bytes of config.storage.cache_bytes, or pods are evicted when their copies fill it" .Values.persistence.cacheSize $cached) -}}
{{- end -}}
{{- with .Values.proxy -}}
{{- if and .url .credentialsKey -}}
{{- $endpoint := dig "storage" "endpoint" "" $.Values.config | default "https://s3.amazonaws.com" -}}
{{- $host := regexReplaceAll ":[0-9]+$" (urlParse $endpoint).host "" -}}
{{- $direct := false -}}
{{- range include "driftgate.noProxy" $ | splitList "," -}}
{{- if hasSuffix (printf ".%s" (trimPrefix "." .)) (printf ".%s" $host) -}}{{- $direct = true -}}{{- end -}}
{{- end -}}
{{- if not $direct -}}
{{- fail (printf "proxy.credentialsKey: object storage can't show a proxy who it is; give %s a way of its own and name it in proxy.noProxy" $host) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Of a quantity. */}}
{{- define "driftgate.bytes" -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[A-Za-z]*$" .)) | printf "%.0f" -}}
{{- end }}

{{- define "driftgate.checkRoles" -}}
{{- range list "kafka" "redis" -}}
{{- if not (index $.Values.config .) -}}
{{- fail (printf "mode roles needs config.%s: its pods share their work through Kafka and their state through Redis, which are there already and not part of this chart. With neither, use mode serve" .) -}}
{{- end -}}
{{- end -}}
{{- if not (or (include "driftgate.objectStorage" .) .Values.persistence.existingClaim (has "ReadWriteMany" .Values.persistence.accessModes)) -}}
{{- fail "mode roles: several pods share the volume, so persistence.accessModes must hold ReadWriteMany (and persistence.storageClassName a class that has it); or keep what they share in object storage (config.storage.type: s3), or name a claim of your own (persistence.existingClaim)" -}}
{{- end -}}
{{- if and (include "driftgate.objectStorage" .) (not (dig "server" "link_secret_file" "" .Values.config)) (not .Values.envFrom) -}}
{{- $given := false -}}
{{- range .Values.env -}}{{- if eq .name "DRIFTGATE__LINK_SECRET" -}}{{- $given = true -}}{{- end -}}{{- end -}}
{{- if not $given -}}
{{- fail "config.storage.type s3: sessions and links are signed with a secret that all pods know; put one of 32 characters or more into existingSecret and name it: config.server.link_secret_file: /etc/driftgate/secrets/link-secret" -}}
{{- end -}}
{{- end -}}
{{- if not (has .Values.worker.kind (list "StatefulSet" "Deployment")) -}}
{{- fail (printf "worker.kind is %q: choose StatefulSet or Deployment" .Values.worker.kind) -}}
{{- end -}}
{{- if and .Values.migrate.enabled (eq .Values.worker.kind "StatefulSet") -}}
{{- with .Values.worker.updateStrategy -}}
{{- if or (eq (.type | default "") "OnDelete") (dig "rollingUpdate" "partition" 0 .) -}}
{{- fail "migrate.enabled: its hook waits until no older worker is left, and worker.updateStrategy keeps some: turn it off, and run `driftgate migrate` once all are new" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.worker.keda -}}
{{- if and .enabled (lt (int .minReplicas) 1) -}}
{{- fail "worker.keda.minReplicas must be at least 1: with none, a topic that is empty could stay unread for good" -}}
{{- end -}}
{{- if and .enabled (lt (int .maxReplicas) (int .minReplicas)) -}}
{{- fail "worker.keda.maxReplicas is less than minReplicas" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "driftgate.checkServe" -}}
{{- if or .Values.worker.keda.enabled .Values.api.autoscaling.enabled -}}
{{- fail "mode serve is one pod, for its embedded store has one writer: worker.keda and api.autoscaling are for mode roles" -}}
{{- end -}}
{{- range $role := list "worker" "controller" "api" -}}
{{- if ne (int (index $.Values $role).replicas) 2 -}}
{{- fail (printf "%s.replicas: mode serve is one pod; choose mode roles for more" $role) -}}
{{- end -}}
{{- end -}}
{{- if and (include "driftgate.objectStorage" .) (not (and .Values.config.kafka .Values.config.redis)) -}}
{{- fail "config.storage.type s3 needs config.kafka and config.redis: without them the log of what was taken in, or the whole state, lies on the pod's volume, and object storage leaves it none" -}}
{{- end -}}
{{- end }}

{{- define "driftgate.checkGrace" -}}
{{- $grace := dig "roles" "grace_seconds" 25 .Values.config | float64 | ceil | int -}}
{{- if le (int .Values.terminationGracePeriodSeconds) (add $grace 5) -}}
{{- fail (printf "terminationGracePeriodSeconds is %d: it must be more than the %d seconds of config.roles.grace_seconds and the 5 before them, or pods are killed in the middle of their last batch" (int .Values.terminationGracePeriodSeconds) $grace) -}}
{{- end -}}
{{- end }}
