"""Submit the training pipeline every night from Airflow 3, and follow the run until it ends.

Put this file and training.yaml into Airflow's dags folder, and `tiffin[sdk]` into its workers' environment. The
workers' environment also says where to submit: KF_PIPELINES_ENDPOINT, TIFFIN_NAMESPACE and TIFFIN_KFP_TOKEN. A run that
a gate stopped, exit status 3, is skipped rather than failed: the model that serves stays.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    "tiffin_training",
    schedule="0 3 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
):
    BashOperator(
        task_id="submit",
        bash_command="tiffin submit training --params training.yaml --wait --timeout 14400",
        cwd=str(Path(__file__).parent),
        append_env=True,
        # As in manifests/: where the serving root is gs://, as in the overlay gcp, there is nothing to mount.
        env={
            "TIFFIN_MOUNT": "deploy-model=tiffin-serving-root:/serving",
            "TIFFIN_SERVICE_ACCOUNT": "tiffin-pipeline",
        },
        skip_on_exit_code=3,
        execution_timeout=timedelta(hours=5),
    )
