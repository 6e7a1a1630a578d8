{{- define "tercio.agentsName" -}}
{{ include "tercio.name" . }}-agents-{{ .Values.agents.pool }}
{{- end }}

{{- /* The pool as `tercio pool apply` takes it. */ -}}
{{- define "tercio.pool" -}}
{{- $agents := .Values.agents }}
{{- $place := dict "namespace" .Release.Namespace "name" (include "tercio.agentsName" .) }}
{{- $known := dict "pool_id" $agents.pool "capabilities" $agents.capabilities "slots" $agents.slots "deployment" $place }}
{{- $_ := set $known "drain_limit" (printf "%ds" (int $agents.drainSeconds)) }}
{{- with $agents.taskTypes }}{{ $_ := set $known "task_types" . }}{{ end }}
{{- merge (deepCopy $agents.scaling) $known | toYaml }}
{{- end }}
