# docker build -t mtssl_tf .
# docker run -v "$PWD:/data" mtssl_tf --images=/data/photos --workdir=/data/run
# With --cluster=local also --shm-size=2g: Ray keeps its objects in /dev/shm,
# of which Docker gives 64 MB.
FROM python:3.11-slim
WORKDIR /mtssl_tf
COPY . .
RUN python3 -m venv .venv && .venv/bin/pip install -q .
ENV PATH=/mtssl_tf/.venv/bin:$PATH
WORKDIR /data
ENTRYPOINT ["mtssl-train"]
