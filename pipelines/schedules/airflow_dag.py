"""Submit the pipelines training and monitoring from Airflow 3, and wait for the runs to finish.

Copy this file, training.yaml and monitoring.yaml to Airflow's dags folder, and install `tiffin[sdk]` in the workers'
environment. Set KF_PIPELINES_ENDPOINT, TIFFIN_NAMESPACE and TIFFIN_KFP_TOKEN there. If a gate stops the run (exit status 3),
or its model waits for approval (4), the task is skipped, not failed, and the deployed model stays in service. A verdict of the
monitoring fails no task: alerts and notifications tell it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

# The models in production that are monitored.
MODELS = ["model"]
# The names in manifests/. Remove TIFFIN_MOUNT if the serving root is on gs://, as in the overlay gcp.
TRAINING = {
    "TIFFIN_MOUNT": (
        "validate-examples=tiffin-serving-root:/serving evaluate-model=tiffin-serving-root:/serving "
        "deploy-model=tiffin-serving-root:/serving roll-out-model=tiffin-serving-root:/serving"
    ),
    "TIFFIN_SERVICE_ACCOUNT": "tiffin-pipeline",
    # Who asks for the run, in the history of deployments.
    "TIFFIN_USER": "airflow",
}
MONITORING = {
    "TIFFIN_MOUNT": (
        f"{TRAINING['TIFFIN_MOUNT']} "
        "find-reference=tiffin-serving-root:/serving find-reference=tiffin-predictions:/predictions "
        "monitor-model=tiffin-predictions:/predictions plan-retraining=tiffin-predictions:/predictions "
        "collect-labelled=tiffin-predictions:/predictions summarize-run=tiffin-predictions:/predictions "
        "plan-retraining=tiffin-serving-root:/serving roll-back-model=tiffin-serving-root:/serving"
    ),
    "TIFFIN_SERVICE_ACCOUNT": "tiffin-pipeline",
}

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
        env=TRAINING,
        skip_on_exit_code=[3, 4],
        execution_timeout=timedelta(hours=5),
    )

with DAG(
    "tiffin_monitoring",
    schedule="15 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
):
    for model in MODELS:
        BashOperator(
            task_id=f"monitor_{model}",
            bash_command=f"tiffin submit monitoring --params monitoring.yaml --set model_name={model} --wait --timeout 3000",
            cwd=str(Path(__file__).parent),
            append_env=True,
            env=MONITORING,
            execution_timeout=timedelta(hours=1),
        )
