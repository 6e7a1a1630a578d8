{{- /*
One service: its ServiceAccount, Service, Deployment and PodDisruptionBudget. Called with
(dict "root" $ "service" "registry" "port" 7401).

Volumes of certificates belong beside that of etcd's; what may reach a port belongs in a NetworkPolicy on the same selector.
*/ -}}
{{- define "tercio.service" -}}
{{- $root := .root }}{{ $values := index .root.Values.services .service }}
{{- $name := printf "%s-%s" (include "tercio.name" .root) .service }}
{{- $part := list .root .service }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name }}
  labels: {{- include "tercio.labels" $part | nindent 4 }}
automountServiceAccountToken: false
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels: {{- include "tercio.labels" $part | nindent 4 }}
spec:
  selector: {{- include "tercio.selector" $part | nindent 4 }}
  ports:
    - name: grpc
      appProtocol: kubernetes.io/h2c
      port: {{ .port }}
      targetPort: grpc
    - name: metrics
      port: {{ add .port 200 }}
      targetPort: metrics
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels: {{- include "tercio.labels" $part | nindent 4 }}
spec:
  replicas: {{ $values.replicas }}
  selector:
    matchLabels: {{- include "tercio.selector" $part | nindent 6 }}
  strategy:
    # One at a time, and never fewer than there are to be.
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  template:
    metadata:
      labels: {{- include "tercio.labels" $part | nindent 8 }}
      annotations:
        checksum/settings: {{ include "tercio.settings" $root | sha256sum }}
    spec:
      {{- include "tercio.podSpec" (list $root $values.pod) | nindent 6 }}
      serviceAccountName: {{ $name }}
      # Only scaling calls the API server.
      automountServiceAccountToken: {{ eq .service "scaling" }}
      # `server.drain_ms`, the time to give leadership up, and some.
      terminationGracePeriodSeconds: 30
      {{- if not (hasKey $values.pod "topologySpreadConstraints") }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "tercio.selector" $part | nindent 14 }}
      {{- end }}
      containers:
        - name: {{ .service }}
          image: {{ include "tercio.image" $part }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          # For `kubectl exec` as well.
          envFrom: {{- include "tercio.callerEnv" $root | nindent 12 }}
          env:
            - {name: TERCIO_SETTINGS_FILE, value: /etc/tercio/settings.yaml}
            - {name: TERCIO_SERVER__PORT, value: {{ .port | quote }}}
            - name: POD_IP
              valueFrom: {fieldRef: {fieldPath: status.podIP}}
            - {name: TERCIO_SERVER__ADVERTISE, value: "$(POD_IP):{{ .port }}"}
            - name: TERCIO_SERVER__REPLICA_TOKEN
              valueFrom: {secretKeyRef: {name: {{ include "tercio.tokenSecret" $root }}, key: token}}
            {{- with $values.env }}
            {{- toYaml . | nindent 12 }}
            {{- end }}
          ports:
            - {name: grpc, containerPort: {{ .port }}}
            - {name: health, containerPort: {{ add .port 100 }}}
            - {name: metrics, containerPort: {{ add .port 200 }}}
          # Alive while its event loop turns; ready while it leads or knows who does.
          startupProbe:
            grpc: {port: {{ add .port 100 }}, service: live}
            periodSeconds: 1
            timeoutSeconds: 5
            failureThreshold: 120
          livenessProbe:
            grpc: {port: {{ add .port 100 }}, service: live}
            periodSeconds: 10
            timeoutSeconds: 5
          readinessProbe:
            grpc: {port: {{ add .port 100 }}}
            periodSeconds: 2
            timeoutSeconds: 5
          resources: {{- toYaml $values.resources | nindent 12 }}
          securityContext: {{- include "tercio.containerSecurity" . | nindent 12 }}
          volumeMounts:
            {{- include "tercio.scratchMount" . | nindent 12 }}
            - {name: settings, mountPath: /etc/tercio, readOnly: true}
            {{- if include "tercio.etcdSecret" $root }}
            - {name: etcd-certificates, mountPath: /etc/tercio-etcd, readOnly: true}
            {{- end }}
      volumes:
        {{- include "tercio.scratch" . | nindent 8 }}
        - name: settings
          configMap: {name: {{ include "tercio.name" $root }}-settings}
        {{- with include "tercio.etcdSecret" $root }}
        - name: etcd-certificates
          secret: {secretName: {{ . }}}
        {{- end }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $name }}
  labels: {{- include "tercio.labels" $part | nindent 4 }}
spec:
  # With one replica a drained node interrupts the service for some seconds; nothing is lost by that.
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "tercio.selector" $part | nindent 6 }}
{{- end }}
