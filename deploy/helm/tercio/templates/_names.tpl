{{- /* What things are called, and where they answer. */ -}}

{{- define "tercio.name" -}}
{{- if contains "tercio" .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-tercio{{ end -}}
{{- end }}

{{- /* The five services in their order, with their ports; health answers 100 and metrics 200 higher. */ -}}
{{- define "tercio.ports" -}}
registry: 7401
scheduler: 7402
resources: 7403
conflicts: 7404
scaling: 7405
{{- end }}

{{- /* YAML of the services that there are: name and port. The fleet cannot be without the first two. */ -}}
{{- define "tercio.enabled" -}}
{{- range $service, $port := include "tercio.ports" . | fromYaml }}
{{- if (index $.Values.services $service).enabled | default (has $service (list "registry" "scheduler")) }}
{{ $service }}: {{ $port }}
{{- end }}
{{- end }}
{{- end }}

{{- /* host:port of a service, empty if it is not there. Called with (list $ "registry"). */ -}}
{{- define "tercio.address" -}}
{{- $root := index . 0 }}{{ $service := index . 1 }}
{{- with index (include "tercio.enabled" $root | fromYaml) $service -}}
{{ include "tercio.name" $root }}-{{ $service }}.{{ $root.Release.Namespace }}.svc:{{ . }}
{{- end }}
{{- end }}

{{- /* Called with (list $ "agent"). */ -}}
{{- define "tercio.image" -}}
{{- $root := index . 0 -}}
{{ $root.Values.image.repository }}/{{ index . 1 }}:{{ $root.Values.image.tag | default $root.Chart.AppVersion }}
{{- end }}

{{- /* What selects the Pods of a part; never changes. Called with (list $ "registry"). */ -}}
{{- define "tercio.selector" -}}
app.kubernetes.io/name: tercio
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- /* Called with (list $ "registry"). */ -}}
{{- define "tercio.labels" -}}
{{- $root := index . 0 -}}
{{ include "tercio.selector" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tercio.tokenSecret" -}}
{{ .Values.replicaToken.existingSecret | default (printf "%s-replica-token" (include "tercio.name" .)) }}
{{- end }}
