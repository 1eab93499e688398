# One replica of botwarden for production: `serve` over your PostgreSQL and Redis.
FROM python:3.11-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/botwarden \
 && /opt/botwarden/bin/pip install --no-cache-dir --require-hashes -r requirements.lock \
 && /opt/botwarden/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim
# A new volume takes over owner and mode of the folder that it is mounted on.
RUN useradd --system --create-home botwarden \
 && install --directory --owner=botwarden --mode=700 /home/botwarden/data
COPY --from=build /opt/botwarden /opt/botwarden
ENV PATH=/opt/botwarden/bin:$PATH BOTWARDEN_HOST=0.0.0.0 BOTWARDEN_LOG_FORMAT=json
USER botwarden
EXPOSE 8000
STOPSIGNAL SIGTERM
ENTRYPOINT ["botwarden"]
CMD ["serve"]
