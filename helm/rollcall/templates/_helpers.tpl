{{- define "rollcall.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 45 | trimSuffix "-" -}}
{{- end -}}

{{- define "rollcall.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains (include "rollcall.name" .) .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rollcall.name" .) | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "rollcall.selector" -}}
app.kubernetes.io/name: {{ include "rollcall.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rollcall.labels" -}}
{{ include "rollcall.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Pods that are nodes; the leave job and the tests are pods of the release, too. */ -}}
{{- define "rollcall.nodeSelector" -}}
{{ include "rollcall.selector" . }}
app.kubernetes.io/component: node
{{- end -}}

{{- define "rollcall.peers" -}}
{{ include "rollcall.fullname" . }}-peers
{{- end -}}

{{- define "rollcall.domain" -}}
{{ include "rollcall.peers" . }}.{{ .Release.Namespace }}.svc.{{ .Values.clusterDomain }}
{{- end -}}

{{- /* Mesh addresses of the founders. It does not change with the number of replicas, so that scaling restarts nobody. */ -}}
{{- define "rollcall.seeds" -}}
{{- $name := include "rollcall.fullname" . -}}
{{- $domain := include "rollcall.domain" . -}}
{{- $seeds := list -}}
{{- range $ordinal := until (int .Values.cluster.bootstrapNodes) -}}
{{- $seeds = append $seeds (printf "%s-%d.%s:7400" $name $ordinal $domain) -}}
{{- end -}}
{{- join "," $seeds -}}
{{- end -}}

{{- define "rollcall.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "rollcall.secretName" -}}
{{ .Values.secrets.existingSecret | default (include "rollcall.fullname" .) }}
{{- end -}}

{{- define "rollcall.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "rollcall.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "rollcall.tlsSecret" -}}
{{ .Values.tls.secretName | default (printf "%s-tls" (include "rollcall.fullname" .)) }}
{{- end -}}

{{- define "rollcall.meshTlsSecret" -}}
{{ .Values.cluster.tls.secretName | default (printf "%s-mesh-tls" (include "rollcall.fullname" .)) }}
{{- end -}}

{{- /* A value as TOML writes it; whole numbers must not come out as floating ones. */ -}}
{{- define "rollcall.toml" -}}
{{- if kindIs "map" . -}}
{{- $entries := list -}}
{{- range $key, $value := . -}}
{{- $entries = append $entries (printf "%s = %s" $key (include "rollcall.toml" $value)) -}}
{{- end -}}
{ {{ join ", " $entries }} }
{{- else if kindIs "slice" . -}}
{{- $entries := list -}}
{{- range . -}}
{{- $entries = append $entries (include "rollcall.toml" .) -}}
{{- end -}}
[{{ join ", " $entries }}]
{{- else if kindIs "string" . -}}
{{ toJson . }}
{{- else if kindIs "bool" . -}}
{{ . }}
{{- else -}}
{{ int64 . }}
{{- end -}}
{{- end -}}

{{- /* The text of a variable: strings are taken as they are, all else as TOML writes it. */ -}}
{{- define "rollcall.variable" -}}
{{- if kindIs "string" . -}}
{{ . }}
{{- else -}}
{{ include "rollcall.toml" . }}
{{- end -}}
{{- end -}}

{{- /* What a schema cannot say. */ -}}
{{- define "rollcall.validate" -}}
{{- if and .Release.IsInstall (lt (int .Values.replicas) (int .Values.cluster.bootstrapNodes)) -}}
{{- fail (printf "replicas is %d, but cluster.bootstrapNodes is %d: a cluster is founded when all of its founders run; set bootstrapNodes to %d" (int .Values.replicas) (int .Values.cluster.bootstrapNodes) (int .Values.replicas)) -}}
{{- end -}}
{{- $issuers := or (and .Values.tls.enabled .Values.tls.certManager) (and .Values.cluster.tls.enabled .Values.cluster.tls.certManager) -}}
{{- if and $issuers (not .Values.certManager.issuerRef.name) -}}
{{- fail "cert-manager is to make certificates: set certManager.issuerRef.name" -}}
{{- end -}}
{{- if and .Values.tls.enabled (not .Values.tls.certManager) (not .Values.tls.secretName) -}}
{{- fail "tls.enabled needs a certificate: set tls.secretName, or tls.certManager" -}}
{{- end -}}
{{- if and .Values.cluster.tls.enabled (not .Values.cluster.tls.certManager) (not .Values.cluster.tls.secretName) -}}
{{- fail "cluster.tls.enabled needs certificates: set cluster.tls.secretName, or cluster.tls.certManager" -}}
{{- end -}}
{{- if and .Values.tls.only (not .Values.tls.enabled) -}}
{{- fail "tls.only leaves no port open without tls.enabled" -}}
{{- end -}}
{{- range .Values.users -}}
{{- if eq .username "admin" -}}
{{- fail "the account admin is made by the chart: its password is in the secret, under admin-password" -}}
{{- end -}}
{{- if and $.Values.secrets.existingSecret (not .existingSecret) -}}
{{- fail (printf "users: with secrets.existingSecret, %s needs an existingSecret, too" .username) -}}
{{- end -}}
{{- end -}}
{{- end -}}
