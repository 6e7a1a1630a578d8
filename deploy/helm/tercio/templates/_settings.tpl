{{- /* What the services are told: what the chart knows, under what the values say. */ -}}
{{- define "tercio.settings" -}}
{{- $store := dict "endpoints" (include "tercio.etcdEndpoints" . | fromYamlArray) }}
{{- with include "tercio.etcdSecret" . }}
{{- $_ := set $store "ca_file" "/etc/tercio-etcd/ca.crt" }}
{{- end }}
{{- if .Values.externalEtcd.clientCertificate | and (not .Values.etcd.enabled) }}
{{- $_ := set $store "cert_file" "/etc/tercio-etcd/tls.crt" }}
{{- $_ := set $store "key_file" "/etc/tercio-etcd/tls.key" }}
{{- end }}
{{- /* Callers come from other Pods, and have no certificates: whoever reaches the ports is believed. */}}
{{- $known := dict "store" $store "server" (dict "bind" "0.0.0.0" "trust_network" true) }}
{{- /* The others' addresses are in the environment; here is who is not there, since an empty variable says nothing. */}}
{{- range $service := list "resources" "conflicts" }}
{{- if not (include "tercio.address" (list $ $service)) }}
{{- $_ := set $known (printf "%s_address" $service) "" }}
{{- end }}
{{- end }}
{{- mergeOverwrite $known (deepCopy .Values.settings) | toYaml }}
{{- end }}

{{- /* YAML list of host:port. */ -}}
{{- define "tercio.etcdEndpoints" -}}
{{- if .Values.etcd.enabled }}
{{- range $number := until (int .Values.etcd.members) }}
- {{ include "tercio.etcdHost" (list $ $number) }}:2379
{{- end }}
{{- else }}
{{- if not .Values.externalEtcd.endpoints }}{{ fail "give externalEtcd.endpoints, or set etcd.enabled" }}{{ end }}
{{- toYaml .Values.externalEtcd.endpoints }}
{{- end }}
{{- end }}

{{- define "tercio.etcdSecret" -}}
{{- if not .Values.etcd.enabled }}{{ .Values.externalEtcd.tlsSecret }}{{ end }}
{{- end }}

{{- /* The lasting name of a member. Called with (list $ number). */ -}}
{{- define "tercio.etcdHost" -}}
{{- $root := index . 0 }}{{ $name := printf "%s-etcd" (include "tercio.name" $root) -}}
{{ $name }}-{{ index . 1 }}.{{ $name }}.{{ $root.Release.Namespace }}.svc
{{- end }}
