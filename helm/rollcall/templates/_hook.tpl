{{- /* The pod of a hook: one container that runs a script with the program's verbs. Takes the root as `root`, the file
       as `script`, the component as `component`, and further variables as `env`. */ -}}
{{- define "rollcall.hookPod" -}}
{{- $root := .root -}}
restartPolicy: Never
serviceAccountName: default
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: {{ .component }}
    image: {{ include "rollcall.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    env:
      - name: ROLLCALL_USER
        value: admin
      - name: ROLLCALL_PASSWORD
        valueFrom:
          secretKeyRef:
            name: {{ include "rollcall.secretName" $root }}
            key: admin-password
      {{- range $key, $value := .env }}
      - name: {{ $key }}
        value: {{ $value | quote }}
      {{- end }}
    command: ["/bin/sh", "-c"]
    args:
      - |
        {{- $root.Files.Get .script | nindent 8 }}
{{- end -}}
