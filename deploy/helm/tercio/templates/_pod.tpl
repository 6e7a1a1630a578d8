{{- /* What every Pod has alike: it runs under the restricted profile. */ -}}

{{- /* Called with (list $ pod), where pod is what the values add to the Pod. */ -}}
{{- define "tercio.podSpec" -}}
{{- $root := index . 0 -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with index . 1 }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "tercio.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* Where a program may write. */ -}}
{{- define "tercio.scratch" -}}
- name: scratch
  emptyDir: {sizeLimit: 1Gi}
{{- end }}
{{- define "tercio.scratchMount" -}}
- name: scratch
  mountPath: /tmp
{{- end }}

{{- /* The environment of whoever calls the services. */ -}}
{{- define "tercio.callerEnv" -}}
- configMapRef:
    name: {{ include "tercio.name" . }}-addresses
{{- end }}
